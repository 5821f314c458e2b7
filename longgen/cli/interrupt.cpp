#include "longgen/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace longgen {
namespace {

// A signal handler reaches nothing but globals.
std::atomic<bool> interrupted_flag = false;
std::atomic<int> first_signal = 0;
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, signal)) ::_exit(128 + signal);
  interrupted_flag = true;
  constexpr std::string_view kMessage = "\nstopping; once more to stop at once\n";
  [[maybe_unused]] const auto put = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) {
    // Background jobs of a shell script start with SIGINT ignored; that is to stay.
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
  }
}

const std::atomic<bool>& interrupted() { return interrupted_flag; }
int interrupt_signal() { return first_signal; }

}  // namespace longgen
