#include "longgen/dist/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <thread>

#include "longgen/base/check.h"
#include "longgen/base/process.h"
#include "longgen/dist/cause.h"

extern char** environ;

namespace longgen {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery{20};
constexpr int kStopped = 128 + SIGTERM;  // the exit code of a rank that was asked to stop

/// The environment of this process with some variables replaced.
std::vector<std::string> environment_with(const std::vector<std::string>& replaced) {
  std::vector<std::string> all = replaced;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const bool is_replaced = std::ranges::any_of(replaced, [&](const std::string& other) {
      const size_t size = other.find('=') + 1;
      return variable.substr(0, size) == std::string_view(other).substr(0, size);
    });
    if (!is_replaced) all.emplace_back(variable);
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// What a new process needs; all of it is made before fork(), after which another thread may hold
/// any lock.
struct NewProcess {
  std::string program = this_program();
  std::vector<std::string> arguments, environment;
  int log = -1;

  pid_t start() {
    const std::vector<char*> words = pointers_to(arguments), variables = pointers_to(environment);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it ended before it would have been noticed
    ::signal(SIGINT, SIG_IGN);
    if (log >= 0 && (::dup2(log, STDOUT_FILENO) < 0 || ::dup2(log, STDERR_FILENO) < 0)) {
      ::_exit(1);
    }
    ::execve(program.c_str(), words.data(), variables.data());
    ::_exit(127);
  }
};

/// Returns the last line of a file that is not blank, cut to a screen's width or two; "" without.
std::string last_line(const fs::path& path) {
  constexpr std::streamoff kTail = 4096;
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg();
  if (size <= 0) return "";
  file.seekg(std::max<std::streamoff>(0, size - kTail));
  std::string line, last;
  while (std::getline(file, line)) {
    if (line.find_first_not_of(" \r\t") != std::string::npos) last = line;
  }
  return last.substr(0, 400);
}

class RankProcesses {
 public:
  RankProcesses(Store& store, const LaunchOptions& options) : store_(store), options_(options) {
    try {
      for (int rank = 0; rank < options.num_ranks; ++rank) start(rank);
    } catch (const Error&) {
      kill_all();
      throw;
    }
  }
  ~RankProcesses() { kill_all(); }
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  RanksEnd wait() {
    while (any_runs()) {
      hand_on_signal();
      look_at_all();
      if (first_failed_ >= 0) break;
      std::this_thread::sleep_for(kLookEvery);
    }
    if (first_failed_ < 0) return any_stopped() ? RanksEnd::stopped : RanksEnd::finished;
    const std::optional<Cause> cause = told_cause();
    end_the_rest(cause);
    throw Error(describe(cause));
  }

 private:
  struct Process {
    pid_t id = -1;  // -1: has ended
    int status = 0;
  };

  void start(int rank) {
    NewProcess process;
    process.arguments = options_.command_line;
    process.environment = environment_with(rank_environment(options_, rank));
    fs::path log;
    if (rank > 0) {
      log = options_.log_of(rank);
      process.log = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
      LG_CHECK(process.log >= 0, log.string(), ": cannot be written: ", std::strerror(errno), ".");
    }
    const pid_t id = process.start();
    const int error = errno;
    if (process.log >= 0) ::close(process.log);
    LG_CHECK(id > 0, "rank ", rank, " cannot be started: ", std::strerror(error), ".");
    processes_.push_back({id});
  }

  bool any_runs() const {
    return std::ranges::any_of(processes_, [](const Process& p) { return p.id > 0; });
  }

  void look_at_all() {
    for (size_t rank = 0; rank < processes_.size(); ++rank) {
      Process& process = processes_[rank];
      if (process.id <= 0 || ::waitpid(process.id, &process.status, WNOHANG) != process.id)
        continue;
      process.id = -1;
      if (!ended_well(process.status) && first_failed_ < 0) first_failed_ = static_cast<int>(rank);
    }
  }

  static bool is_stopped(int status) {
    return WIFEXITED(status) && WEXITSTATUS(status) == kStopped;
  }
  static bool ended_well(int status) {
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) || is_stopped(status);
  }
  bool any_stopped() const {
    return std::ranges::any_of(processes_, [](const Process& p) { return is_stopped(p.status); });
  }

  void hand_on_signal() {
    if (signal_ != 0) return;
    signal_ = options_.signal();
    if (signal_ != 0) send_all(SIGTERM);
  }

  void send_all(int signal) const {
    for (const Process& process : processes_) {
      if (process.id > 0) ::kill(process.id, signal);
    }
  }

  void kill_all() {
    send_all(SIGKILL);
    for (Process& process : processes_) {
      if (process.id > 0) ::waitpid(process.id, &process.status, 0);
      process.id = -1;
    }
  }

  void end_the_rest(const std::optional<Cause>& cause) {
    const size_t silent = cause && cause->kind == CauseKind::silent
                              ? static_cast<size_t>(cause->rank)
                              : processes_.size();
    // A stopped process would not hear anything else.
    if (silent < processes_.size() && processes_[silent].id > 0) {
      ::kill(processes_[silent].id, SIGKILL);
    }
    const auto deadline = steady_clock::now() + options_.grace;
    while (any_runs() && steady_clock::now() < deadline) {
      look_at_all();
      std::this_thread::sleep_for(kLookEvery);
    }
    kill_all();
  }

  std::optional<Cause> told_cause() {
    try {
      const std::optional<std::string> text = store_.find(kCauseKey);
      const std::optional<Cause> cause = text ? parse_cause(*text) : std::nullopt;
      return cause && cause->rank < options_.num_ranks ? cause : std::nullopt;
    } catch (const Error&) {
      return std::nullopt;  // then the processes alone tell
    }
  }

  std::string describe(const std::optional<Cause>& cause) const {
    const int rank = cause ? cause->rank : first_failed_;
    const bool tells_more = cause && cause->kind != CauseKind::closed;
    std::string text = detail::concat(tells_more ? cause->message() : how_it_ended(rank),
                                      " The other ranks were ended.");
    if (rank == 0) return text;
    const fs::path log = options_.log_of(rank);
    const std::string line = tells_more ? "" : last_line(log);
    return text + (line.empty() ? " Its log: " + log.string()
                                : " The last line of its log, " + log.string() + ":\n  " + line);
  }

  std::string how_it_ended(int rank) const {
    const int status = processes_[static_cast<size_t>(rank)].status;
    if (WIFSIGNALED(status)) {
      return detail::concat("rank ", rank, " was ended by signal ", WTERMSIG(status), " (",
                            ::strsignal(WTERMSIG(status)), ").");
    }
    return detail::concat("rank ", rank, " ended with exit code ", WEXITSTATUS(status), ".");
  }

  Store& store_;
  const LaunchOptions& options_;
  std::vector<Process> processes_;
  int first_failed_ = -1, signal_ = 0;
};

}  // namespace

std::vector<std::string> rank_environment(const LaunchOptions& options, int rank) {
  const std::string number = std::to_string(rank), count = std::to_string(options.num_ranks);
  return {"RANK=" + number,
          "WORLD_SIZE=" + count,
          "LOCAL_RANK=" + number,
          "LOCAL_WORLD_SIZE=" + count,
          "MASTER_ADDR=" + options.store.host,
          "MASTER_PORT=" + std::to_string(options.store.port),
          "TORCHELASTIC_USE_AGENT_STORE=True",
          "TORCHELASTIC_RUN_ID=" + options.run,
          "TORCHELASTIC_RESTART_COUNT=0",
          "LONGGEN_RANKS=1"};
}

RanksEnd run_ranks(Store& store, const LaunchOptions& options) {
  return RankProcesses(store, options).wait();
}

}  // namespace longgen
