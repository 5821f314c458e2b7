"""longgen chat as at a terminal: editing, history, pastes, commands and Ctrl-C; and through a pipe."""

import json
import os
import signal
import stat
import sys
import termios
import time
import unittest

from cli_case import CliCase
from terminal import Terminal
from tiny_model import write_tiny_llama

CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
          "+ '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
UP, LEFT, CTRL_C, CTRL_D = "\x1b[A", "\x1b[D", "\x03", "\x04"
PASTE = "\x1b[200~{}\x1b[201~"
STATUS = "full attention would hold"  # stands in the line after every reply


class ChatCase(CliCase):
    def setUp(self):
        super().setUp()
        write_tiny_llama(self.dir / "model", context=512)
        (self.dir / "model/tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))

    def chat(self, *options, max_tokens=4, ready=True):
        replies = open(self.dir / "replies", "wb")
        self.addCleanup(replies.close)
        terminal = Terminal([self.PROGRAM, "chat", self.dir / "model", "--max-tokens", max_tokens, *options],
                            stdout=replies, env={"XDG_STATE_HOME": str(self.dir / "state")})
        self.addCleanup(terminal.close)
        self.terminal, self.place = terminal, 0
        if ready:
            self.see("> ")
        return terminal

    def see(self, text):
        self.place = self.terminal.wait_for(text, self.place)

    def say(self, keys):
        """Types a message and waits for the end of the reply and the next prompt."""
        self.terminal.press(keys + "\r")
        self.see(STATUS)
        self.see("> ")

    def command(self, keys, answer):
        self.terminal.press(keys + "\r")
        self.see(answer)
        self.see("> ")

    def leave(self, code=0):
        self.terminal.press(CTRL_D)
        self.assertEqual(self.terminal.finish(), code, self.terminal.drawn)

    def saved(self):
        """Roles and texts of the conversation so far, without the replies' texts."""
        name = f"talk{len(list(self.dir.glob('talk*')))}.json"
        self.command(f"/save {self.dir / name}", "message")
        messages = json.loads((self.dir / name).read_text())["messages"]
        return [message["role"] if message["role"] == "assistant" else (message["role"], message["content"])
                for message in messages]


class Editing(ChatCase):
    def test_a_line_is_edited_and_remembered(self):
        self.chat()
        self.say("helo" + LEFT + "l")
        self.say(UP)
        self.say("gr\u00fc\u00dfe \u6a21")
        self.assertEqual(self.saved(), [("user", "hello"), "assistant", ("user", "hello"), "assistant",
                                        ("user", "gr\u00fc\u00dfe \u6a21"), "assistant"])
        self.leave()
        history = self.dir / "state/longgen/chat_history"
        self.assertEqual(stat.S_IMODE(history.stat().st_mode), 0o600)
        self.assertEqual(self.names(), ["model", "replies", "state", "talk0.json"])
        self.assertEqual([path.name for path in history.parent.iterdir()], ["chat_history"])
        self.chat()
        self.say(UP + UP)  # the last line was /save
        self.assertEqual(self.saved(), [("user", "gr\u00fc\u00dfe \u6a21"), "assistant"])

    def test_a_paste_is_one_message(self):
        self.chat()
        self.say(PASTE.format("one\rtwo\nthree\n") + " and four")
        long = "a line of text that is as wide as the terminal, or nearly so, and goes on\n" * 60
        self.say(PASTE.format(long))
        self.assertEqual(self.saved(), [("user", "one\ntwo\nthree and four"), "assistant",
                                        ("user", long.rstrip("\n")), "assistant"])

    def test_a_line_survives_being_suspended(self):
        terminal = self.chat()
        terminal.press("hel")
        self.see("hel")
        terminal.process.send_signal(signal.SIGSTOP)
        modes = termios.tcgetattr(terminal.master)
        modes[3] |= termios.ICANON | termios.ECHO  # as a shell leaves them
        termios.tcsetattr(terminal.master, termios.TCSANOW, modes)
        terminal.process.send_signal(signal.SIGCONT)
        self.see("> hel")
        self.say("o" + LEFT + "l")
        self.assertEqual(self.saved(), [("user", "hello"), "assistant"])

    def test_a_history_that_cannot_be_written_is_told_once(self):
        self.put("state", "a file where a folder should be")
        self.chat()
        self.say("one")
        self.say("two")
        self.assertEqual(self.terminal.drawn.count(b"the history cannot be written"), 1)
        self.say(UP + UP)
        self.assertEqual(self.saved()[-2], ("user", "one"))


class Commands(ChatCase):
    def test_commands_are_the_programs(self):
        self.chat("--system", "Be brief.")
        self.command("/help", "/system TEXT")
        self.command("/nosuch thing", "there is no command /nosuch. /help shows the commands")
        self.command("/system", "system message: Be brief.")
        self.assertEqual(self.saved(), [("system", "Be brief.")])
        self.say("//slash")
        self.terminal.press("/system Be long.\r")
        self.say("hi")
        self.assertEqual(self.saved(), [("system", "Be long."), ("user", "/slash"), "assistant", ("user", "hi"),
                                        "assistant"])
        self.command("/reset", "forgotten")
        self.assertEqual(self.saved(), [("system", "Be long.")])
        self.terminal.press("/exit\r")
        self.assertEqual(self.terminal.finish(), 0)

    def test_save_replaces_no_file_but_its_own(self):
        other = self.put("other.json", "mine")
        self.chat()
        self.command("/save", "expected the name of a file")
        self.command(f"/save {other}", "exists already. Give the name of a new file.")
        self.assertEqual(other.read_text(), "mine")
        self.command(f"/save {self.dir}/new name.json", "0 messages")
        self.say("hi")
        self.command(f"/save {self.dir}/new name.json", "2 messages")
        self.assertEqual(len(json.loads((self.dir / "new name.json").read_text())["messages"]), 2)
        self.command(f"/save {self.dir}/no/such/folder.json", "longgen: error: ")

    def test_a_text_beyond_the_context_is_told_once(self):
        self.chat()
        self.say("x" * 600)
        self.say("more")
        self.assertEqual(self.terminal.drawn.count(b"more than the model's context of 512"), 1)


class Interrupts(ChatCase):
    def test_at_the_prompt_ctrl_c_clears_the_line(self):
        self.chat()
        self.terminal.press("not this")
        self.see("not this")
        self.terminal.press(CTRL_C)
        self.see("> ")
        self.assertNotIn(b"leaves\r\n>", self.terminal.drawn.split(b"not this")[1])
        self.terminal.press(CTRL_C)
        self.see("Ctrl-D or /exit leaves")
        self.see("> ")
        self.say("but this")
        self.assertEqual(self.saved(), [("user", "but this"), "assistant"])
        self.leave()

    def test_ctrl_c_stops_a_reply_and_the_conversation_goes_on(self):
        self.chat("--ignore-eos", max_tokens=1_000_000)
        for number in range(2):
            before = (self.dir / "replies").stat().st_size
            self.terminal.press(f"message {number}\r")
            while (self.dir / "replies").stat().st_size < before + 20:
                time.sleep(0.01)
                self.assertIsNone(self.terminal.process.poll())
            self.terminal.press(CTRL_C)
            self.see("| stopped")
            self.see("> ")
        self.assertEqual(self.saved(), [("user", "message 0"), "assistant", ("user", "message 1"), "assistant"])
        self.leave()

    def test_ctrl_c_while_the_message_is_read_takes_it_back(self):
        self.chat(max_tokens=1)
        self.say("short")
        self.terminal.press(PASTE.format("long " * 20_000) + "\r")
        self.see("prompt [")  # the progress bar
        self.terminal.press(CTRL_C)
        self.see("stopped before the reply; the message is taken back")
        self.see("> ")
        self.say("again")
        self.assertEqual(self.saved(), [("user", "short"), "assistant", ("user", "again"), "assistant"])

    def test_sigterm_ends_it(self):
        self.chat("--ignore-eos", max_tokens=1_000_000)
        self.terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.terminal.finish(), 143)
        self.chat("--ignore-eos", max_tokens=1_000_000)
        self.terminal.press("go on for ever\r")
        while (self.dir / "replies").stat().st_size < 20:
            time.sleep(0.01)
        self.terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.terminal.finish(), 143)


class Pipes(ChatCase):
    def chat_lines(self, text, *options, code=0):
        return self.run_program("chat", self.dir / "model", "--max-tokens", 6, *options, stdin=text, code=code)

    def test_each_line_is_a_message(self):
        talk = self.dir / "talk.json"
        out, err = self.chat_lines(f"\ufeffhi\r\n\r\n  \nthere\n/save {talk}\nlast")
        messages = json.loads(talk.read_text())["messages"]
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"], ["hi", "there"])
        self.assertEqual(err.count(STATUS), 3)
        self.assertNotIn("> ", err)
        replies = [m["content"] for m in messages if m["role"] == "assistant"]
        self.assertTrue(out.startswith(replies[0] + "\n" + replies[1] + "\n"), out)

    def test_the_first_reply_is_that_of_generate(self):
        for options in [], ["--system", "Be brief."], ["--system", ""]:
            said, _ = self.chat_lines("hi\n", *options)
            generated, _ = self.run_program("generate", self.dir / "model", "--chat", "--prompt", "hi", "--max-tokens",
                                            6, *options)
            self.assertEqual(said, generated)

    def test_an_empty_system_message_is_one(self):
        def prompt_tokens(*options):
            out, _ = self.run_program("generate", self.dir / "model", "--chat", "--prompt", "hi", "--json", *options)
            return json.loads(out)["prompt_tokens"]

        turn = len("<|im_start|>system\n<|im_end|>\n")
        self.assertEqual(prompt_tokens("--system", "") - prompt_tokens(), turn)
        self.assertEqual(prompt_tokens("--system", "x") - prompt_tokens(), turn + 1)

    def test_an_unknown_command_is_an_error(self):
        _, err = self.chat_lines("/nosuch\nhi\n", code=1)
        self.assertIn("longgen: error: there is no command /nosuch.", err)
        self.assertNotIn(STATUS, err)

    def test_quiet_says_nothing(self):
        _, err = self.chat_lines("hi\n", "--quiet")
        self.assertEqual(err, "")


if __name__ == "__main__":
    CliCase.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
