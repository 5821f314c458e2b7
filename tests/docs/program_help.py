"""What `longgen --help` and `longgen COMMAND --help` say there is, and texts held against it."""

import pathlib
import re
import subprocess

CALL = re.compile(r"(?<![\w/.-])(?:build/\w+/)?longgen((?: +[^\s|>&;#`'\"]+| +'[^']*'| +\"[^\"]*\")+)")


class Program:
    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()
        self.commands, self.options = {}, {}  # by words after the program, such as ("eval", "needle")
        self._read(())

    def _read(self, words):
        text = subprocess.run([self.path, *words, "--help"], check=True, capture_output=True, text=True).stdout
        self.options[words] = set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, re.MULTILINE))
        sections = re.split(r"^(\w[\w ]*):$", text, flags=re.MULTILINE)
        self.commands[words] = {
            name for title, section in zip(sections[1::2], sections[2::2]) if title not in ("Options", "Arguments")
            for name in re.findall(r"^  ([a-z]\w*)\b", section, re.MULTILINE)}
        for name in self.commands[words]:
            self._read((*words, name))

    def options_of_commands(self):
        return [(" ".join(words), options) for words, options in sorted(self.options.items())]

    def faults(self, text):
        """What is wrong with the calls of the program in a text: a command or an option that does not exist."""
        text = text.replace("\\\n", " ")
        faults = []
        for call in CALL.finditer(text):
            # What is not typed may be a sentence about longgen.
            is_typed = re.search(r"(^|\n|[|;(])[ \t]*(\$ )?$", text[:call.start()])
            faults += [fault for fault in self._faults_of_call(call[1].split()) if is_typed or "no option" in fault]
        return faults

    def _faults_of_call(self, words):
        command = ()
        while words and self.commands[command] and words[0] in self.commands[command]:
            command = (*command, words.pop(0))
        if words and self.commands[command] and re.fullmatch(r"[a-z]+", words[0]):
            return [f"there is no longgen {' '.join([*command, words[0]])}"]
        names = [match[0] for word in words if (match := re.match(r"--[a-z][\w-]*", word.lstrip("[(")))]
        return [f"longgen {' '.join(command)} has no option {name}" for name in names if name not in self.options[command]]
