#include "longgen/report/gnuplot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/tokenizer/utf8.h"

extern char** environ;

namespace longgen {
namespace {

constexpr const char* kPictures[] = {".svg", ".png"};
constexpr const char* kLog = "gnuplot.log";

/// A folder inside the report's, where gnuplot may leave half a picture. It is removed at the end.
class WorkFolder {
 public:
  WorkFolder(const fs::path& folder, const std::string& name)
      : path_(folder / ("." + name + ".pictures." + std::to_string(::getpid()))) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
    LG_CHECK(!error, path_.string(), ": cannot be created: ", error.message(), ".");
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// What the child process starts with: its folder, no input, both outputs in a log.
class SpawnActions {
 public:
  explicit SpawnActions(const fs::path& folder) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
    ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, 1, kLog, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::posix_spawn_file_actions_adddup2(&actions_, 1, 2);
  }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

/// Returns the exit status as waitpid gives it. Kills a process that takes longer than timeout_s.
int wait_for(pid_t process, double timeout_s) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(timeout_s);
  int status = 0;
  bool killed = false;
  for (;;) {
    const pid_t ended = ::waitpid(process, &status, killed ? 0 : WNOHANG);
    if (ended == process) return status;
    if (ended < 0 && errno != EINTR) return -1;
    if (ended == 0 && Clock::now() > deadline) {
      ::kill(process, SIGKILL);
      killed = true;
    }
    if (ended == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Returns the last lines of what the program said, on one line.
std::string last_words(const fs::path& log) {
  constexpr size_t kMaxBytes = 300;
  std::string text;
  try {
    text = read_file(log, 1 << 20);
  } catch (const Error&) {
    return "";
  }
  text = replace_invalid_utf8(text.substr(text.size() - std::min(text.size(), kMaxBytes)));
  std::string line;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (!space) line += c;
    if (space && !line.empty() && line.back() != ' ') line += ' ';
  }
  return line;
}

/// Runs the program in the folder. Returns "" or what went wrong.
std::string run_in(const fs::path& folder, const std::string& program, const std::string& script,
                   double timeout_s) {
  // -d leaves out the user's start-up files, which could change how pictures look, or run anything.
  std::vector<std::string> words = {program, "-d", script};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const SpawnActions actions(folder);
  // A path is meant from the caller's folder, not from the child's.
  const bool is_path = program.find('/') != std::string::npos;
  const std::string executable = is_path ? fs::absolute(program).string() : program;
  pid_t process = 0;
  const int error =
      ::posix_spawnp(&process, executable.c_str(), actions.get(), nullptr, argv.data(), environ);
  if (error == ENOENT) {
    return fmt::format("the program \"{}\" was not found. Install the Debian package gnuplot-nox",
                       program);
  }
  if (error != 0) {
    return fmt::format("the program \"{}\" cannot be run: {}", program, std::strerror(error));
  }
  const int status = wait_for(process, timeout_s);
  const std::string said = last_words(folder / kLog);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    return fmt::format("\"{}\" did not end within {} and was killed", program,
                       format_duration(timeout_s));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fmt::format("\"{}\" failed (exit status {}), saying: {}", program,
                       WIFEXITED(status) ? WEXITSTATUS(status) : status, said);
  }
  return "";
}

bool is_filled(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return !error && size > 0;
}

/// Runs gnuplot in a folder of its own and moves whole pictures into place.
std::string draw(const std::string& program, const fs::path& folder, const std::string& name,
                 double timeout_s) {
  const WorkFolder work(folder, name);
  for (const char* ending : {".gp", ".dat"}) {
    fs::copy_file(folder / (name + ending), work.path() / (name + ending));
  }
  const std::string problem = run_in(work.path(), program, name + ".gp", timeout_s);
  if (!problem.empty()) return problem;
  for (const char* ending : kPictures) {
    if (!is_filled(work.path() / (name + ending))) {
      return fmt::format("\"{}\" ended without an error but wrote no {}{}", program, name, ending);
    }
  }
  for (const char* ending : kPictures) {
    sync_path(work.path() / (name + ending));
    fs::rename(work.path() / (name + ending), folder / (name + ending));
  }
  sync_path(folder);
  return "";
}

/// Appends letters, digits and what stands in most names as they are, other ASCII in octal. The
/// script then holds no quote, backtick, "@" or backslash of the text. Doubled single quotes, the
/// other way of quoting, do not do: gnuplot 5.4 reads a string that begins with one as empty and
/// takes the rest for commands. Returns whether it wrote octal: gnuplot would take a digit right
/// after it for a part of it.
bool append_gnuplot_char(uint32_t code_point, bool after_octal, std::string& quoted) {
  // U+FFFE and U+FFFF may not stand in XML, which SVG is.
  const bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0) ||
                       code_point == 0xFFFE || code_point == 0xFFFF;
  const bool digit = code_point >= '0' && code_point <= '9';
  const bool harmless =
      code_point < 0x80 && std::strchr("-_.,:/()+=", static_cast<int>(code_point));
  const bool plain = (code_point >= 'A' && code_point <= 'Z') ||
                     (code_point >= 'a' && code_point <= 'z') || code_point >= 0x80 || harmless ||
                     (digit && !after_octal);
  if (control || code_point == ' ') {
    quoted += ' ';
  } else if (plain) {
    append_utf8(code_point, quoted);
  } else {
    quoted += fmt::format("\\{:03o}", code_point);
    return true;
  }
  return false;
}

}  // namespace

std::string gnuplot_string(std::string_view text, int64_t max_chars) {
  const std::string valid = replace_invalid_utf8(text);
  std::string quoted = "\"";
  bool octal = false;
  int64_t num_chars = 0;
  for (size_t at = 0; at < valid.size(); ++num_chars) {
    if (num_chars == max_chars) {
      quoted += "…";
      break;
    }
    const Utf8Char c = decode_utf8(valid, at);
    octal = append_gnuplot_char(c.code_point, octal, quoted);
    at += c.length;
  }
  return quoted + "\"";
}

std::string gnuplot_script(const std::string& name, int64_t width, int64_t height,
                           const std::string& body) {
  return fmt::format(
      "# Draws {0}.svg and {0}.png from {0}.dat: gnuplot {0}.gp\n"
      "set encoding utf8\n"
      "set terminal svg size {1},{2} noenhanced font 'DejaVu Sans,Helvetica,Arial,sans-serif,14' "
      "background rgb 'white'\n"
      "set output '{0}.svg'\n"
      "{3}"
      "unset output\n"
      "reset\n"
      "if (strstrt(GPVAL_TERMINALS, ' pngcairo ')) {{\n"
      "  set terminal pngcairo size {1},{2} noenhanced font 'Sans,11'\n"
      "}} else {{\n"
      "  set terminal png size {1},{2} noenhanced\n"
      "}}\n"
      "set output '{0}.png'\n"
      "{3}"
      "unset output\n",
      name, width, height, body);
}

std::string run_gnuplot(const std::string& program, const fs::path& folder, const std::string& name,
                        double timeout_s) {
  std::string problem;
  try {
    problem = draw(program, folder, name, timeout_s);
  } catch (const fs::filesystem_error& error) {
    problem = error.what();
  } catch (const Error& error) {
    problem = error.what();
  }
  if (problem.empty()) return "";
  std::error_code ignored;
  for (const char* ending : kPictures) fs::remove(folder / (name + ending), ignored);
  return fmt::format(
      "the pictures {0}.svg and {0}.png were not drawn: {1}. Numbers, data and script are written; "
      "to draw them later: cd {2} && gnuplot {0}.gp",
      name, problem, folder.string());
}

}  // namespace longgen
