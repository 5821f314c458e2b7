#include "longgen/cli/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace longgen {
namespace {

// A signal handler reaches nothing but globals.
std::atomic<bool> interrupted_flag = false;
std::atomic<int> first_signal = 0;
std::atomic<bool> tells_of_signal = true;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal)) ::_exit(128 + signal);
  interrupted_flag = true;
  if (!tells_of_signal) return;
  constexpr std::string_view kMessage = "\nstopping; once more to stop at once\n";
  [[maybe_unused]] const auto put = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
}

void on_interrupt_of_reply(int) { interrupted_flag = true; }

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  ::sigemptyset(&action.sa_mask);
  // Background jobs of a shell script start with SIGINT ignored; that is to stay.
  struct sigaction before {};
  if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_interrupts(bool tells) {
  tells_of_signal = tells;
  for (const int signal : {SIGINT, SIGTERM}) handle(signal, on_signal);
}

void catch_interrupts_of_replies() {
  handle(SIGINT, on_interrupt_of_reply);
  handle(SIGTERM, on_signal);
}

void clear_interrupt() {
  interrupted_flag = false;
  if (first_signal != 0) interrupted_flag = true;  // SIGTERM stays
}

bool wait_for_stdin(const std::function<void()>& between) {
  // A signal that comes just before poll() would be missed without the time limit; one that another
  // thread gets always would.
  constexpr int kWaitMs = 100;
  while (!interrupted_flag) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kWaitMs) > 0) return true;
    between();
  }
  return false;
}

const std::atomic<bool>& interrupted() { return interrupted_flag; }
int interrupt_signal() { return first_signal; }
int exit_code_of_interrupt() { return 128 + (first_signal != 0 ? first_signal.load() : SIGTERM); }

}  // namespace longgen
