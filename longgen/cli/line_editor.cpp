#include <histedit.h>
#include <langinfo.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/line_reader.h"

namespace longgen {
namespace {

constexpr int kHistoryLines = 1000;
// Bracketed paste, which xterm introduced: the terminal puts these around what is pasted.
constexpr const char* kAskForPasteMarks = "\033[?2004h";
constexpr const char* kNoPasteMarks = "\033[?2004l";
constexpr const char* kPasteBegins = "\\e[200~";  // as libedit's bind reads it
constexpr std::wstring_view kPasteEnds = L"\033[201~";

// Signal handlers reach nothing but globals.
std::atomic<bool> window_changed = false;  // SIGWINCH
std::atomic<bool> was_suspended = false;   // SIGCONT: the terminal's modes are the shell's again

void note_signal(int signal) { (signal == SIGWINCH ? window_changed : was_suspended) = true; }

/// libedit decodes what is typed by the locale; texts of longgen are UTF-8 whatever that is.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

/// Cleans pasted text: the CR with which terminals end its lines becomes LF, line ends at its end
/// go, and so does NUL, which would end the text for libedit.
std::wstring clean_paste(std::wstring text) {
  std::erase(text, L'\0');
  std::replace(text.begin(), text.end(), L'\r', L'\n');
  while (text.ends_with(L'\n')) text.pop_back();
  return text;
}

class LineEditor : public LineReader {
 public:
  LineEditor(std::string prompt, fs::path history)
      : prompt_(std::move(prompt)), file_(std::move(history)) {
    use_utf8();
    history_ = ::history_init();
    editor_ = ::el_init("longgen", stdin, stderr, stderr);
    LG_CHECK(history_ != nullptr && editor_ != nullptr,
             "the terminal cannot be used for editing lines. Give the lines on a pipe.");
    HistEvent event{};
    ::history(history_, &event, H_SETSIZE, kHistoryLines);
    ::history(history_, &event, H_SETUNIQUE, 1);
    if (!file_.empty()) ::history(history_, &event, H_LOAD, file_.c_str());
    ::el_set(editor_, EL_CLIENTDATA, this);
    ::el_set(editor_, EL_PROMPT, &LineEditor::prompt);
    ::el_set(editor_, EL_HIST, ::history, history_);
    ::el_set(editor_, EL_EDITOR, "emacs");
    ::el_set(editor_, EL_GETCFN, &LineEditor::read_char);
    ::el_set(editor_, EL_ADDFN, "insert-paste", "Insert what is pasted", &LineEditor::insert_paste);
    ::el_source(editor_, nullptr);  // the user's ~/.editrc
    ::el_set(editor_, EL_BIND, kPasteBegins, "insert-paste", nullptr);
    ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    struct sigaction action {};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGWINCH, SIGCONT}) ::sigaction(signal, &action, nullptr);
  }

  ~LineEditor() override {
    ::el_end(editor_);
    ::history_end(history_);
  }

  ReadEvent read(std::string& line) override {
    const bool knows_marks = !is_dumb();
    if (knows_marks) say(kAskForPasteMarks);
    // The prompt is shown once the terminal passes every key on: what comes at once is edited, too.
    ::el_set(editor_, EL_PREP_TERM, 1);
    int num_bytes = 0;
    const char* const text = ::el_gets(editor_, &num_bytes);
    if (knows_marks) say(kNoPasteMarks);
    if (text == nullptr || num_bytes <= 0) {
      say(interrupted() ? "^C\n" : "\n");
      return interrupted() ? ReadEvent::interrupted : ReadEvent::end;
    }
    line.assign(text, static_cast<size_t>(num_bytes));
    if (line.ends_with('\n')) line.pop_back();
    if (line.find_first_not_of(" \t\n") != std::string::npos) remember(line);
    return ReadEvent::line;
  }

 private:
  static LineEditor& self(EditLine* editor) {
    LineEditor* found = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &found);
    return *found;
  }

  static char* prompt(EditLine* editor) { return self(editor).prompt_.data(); }

  static bool is_dumb() {
    const char* const terminal = std::getenv("TERM");
    return terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  }

  static void say(const char* text) {
    std::fputs(text, stderr);
    std::fflush(stderr);
  }

  /// Returns 1 and the next character, 0 at the end of the input, or -1.
  static int read_char(EditLine* editor, wchar_t* character) {
    std::mbstate_t state{};
    while (true) {
      const auto on_signal = [editor] {
        if (window_changed.exchange(false)) ::el_resize(editor);
        if (was_suspended.exchange(false)) {
          ::el_set(editor, EL_PREP_TERM, 0);  // libedit takes the modes for its own still
          ::el_set(editor, EL_PREP_TERM, 1);
          ::el_set(editor, EL_REFRESH);
        }
      };
      if (!wait_for_stdin(on_signal)) return -1;
      char byte = 0;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got <= 0) return got == 0 ? 0 : -1;
      const size_t read = std::mbrtowc(character, &byte, 1, &state);
      if (read == static_cast<size_t>(-2)) continue;  // more bytes to come
      if (read == static_cast<size_t>(-1)) *character = L'\uFFFD';
      return 1;
    }
  }

  static unsigned char insert_paste(EditLine* editor, wint_t) {
    std::wstring text;
    wchar_t character = 0;
    while (!text.ends_with(kPasteEnds)) {
      if (::el_wgetc(editor, &character) != 1) return CC_ERROR;
      text += character;
    }
    text.resize(text.size() - kPasteEnds.size());
    text = clean_paste(std::move(text));
    if (!text.empty() && ::el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
  }

  void remember(const std::string& line) {
    HistEvent event{};
    ::history(history_, &event, H_ENTER, line.c_str());
    if (file_.empty()) return;
    // The history is written at each line, so that whatever ends the program loses none.
    std::error_code error;
    fs::create_directories(file_.parent_path(), error);
    const fs::path temporary = file_.string() + ".tmp." + std::to_string(::getpid());
    if (::history(history_, &event, H_SAVE, temporary.c_str()) >= 0) {
      fs::rename(temporary, file_, error);
      if (!error) return;
    }
    fs::remove(temporary, error);
    log_warning(file_.string() + ": the history cannot be written; it is kept for this run only.");
    file_.clear();
  }

  std::string prompt_;
  fs::path file_;
  History* history_ = nullptr;
  EditLine* editor_ = nullptr;
};

}  // namespace

std::unique_ptr<LineReader> make_line_editor(const std::string& prompt, const fs::path& history) {
  return std::make_unique<LineEditor>(prompt, history);
}

fs::path state_file(const std::string& name) {
  const auto folder = [](const char* variable) {
    const char* const value = std::getenv(variable);
    return fs::path(value == nullptr ? "" : value);
  };
  // A relative path is to be ignored, says the XDG base directory specification.
  if (const fs::path state = folder("XDG_STATE_HOME"); state.is_absolute()) {
    return state / "longgen" / name;
  }
  const fs::path home = folder("HOME");
  return home.is_absolute() ? home / ".local" / "state" / "longgen" / name : fs::path();
}

}  // namespace longgen
