#include "longgen/base/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "longgen/base/check.h"

extern char** environ;

namespace longgen {
namespace {

/// Reads what a process writes to the other end, until it closes it.
std::string read_all(int fd) {
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return text;
    }
  }
}

/// Reads a line of /proc/self/status, which counts in KiB.
int64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    if (word != key) continue;
    int64_t kib = 0;
    file >> kib;
    return kib * 1024;
  }
  return 0;
}

}  // namespace

std::string run_program(const std::vector<std::string>& arguments) {
  LG_DCHECK(!arguments.empty());
  const std::string& program = arguments.front();
  std::vector<char*> words;
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  int ends[2];
  LG_CHECK(::pipe2(ends, O_CLOEXEC) == 0, program, ": cannot make a pipe: ", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t process = 0;
  const int error =
      ::posix_spawnp(&process, program.c_str(), &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text;
  if (error == 0) text = read_all(ends[0]);
  ::close(ends[0]);
  LG_CHECK(error == 0, program, ": cannot be started: ", std::strerror(error), ".");
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  LG_CHECK(!WIFSIGNALED(status), program, ": ended by signal ", WTERMSIG(status), ".");
  LG_CHECK(WEXITSTATUS(status) == 0, program, ": failed with exit code ", WEXITSTATUS(status),
           ". What it said stands above.");
  return text;
}

std::string this_program() { return "/proc/self/exe"; }

std::vector<std::string> this_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  LG_CHECK(!words.empty(), "/proc/self/cmdline: cannot be read.");
  return words;
}

int64_t peak_memory_bytes() { return status_bytes("VmHWM:"); }
int64_t memory_bytes() { return status_bytes("VmRSS:"); }

}  // namespace longgen
