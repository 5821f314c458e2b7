// longgen: the program. The only place that catches errors, prints them and exits.
#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "longgen/base/check.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/output.h"
#include "longgen/device/gpu_memory.h"

namespace longgen {
namespace {

/// A file opened later must not become stdout or stderr because those were closed at the start.
void open_standard_files() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open() takes the lowest free number, which is this one.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) ::_exit(1);
  }
}

int fail(const char* message) {
  print_error(message);
  // A command that was asked to stop ends with an Error that says what it left behind.
  const int signal = interrupt_signal();
  return signal == 0 ? 1 : 128 + signal;
}

int run_program(int argc, char** argv) {
  try {
    CommandSet commands;
    add_all_commands(commands);
    return commands.run(argc, argv);
  } catch (const OutputClosed&) {
    return 0;
  } catch (const std::bad_alloc&) {
    return fail("out of memory.");
  } catch (const c10::OutOfMemoryError&) {
    return fail((out_of_gpu_memory() + " Use a shorter text or smaller --chunk.").c_str());
  } catch (const c10::Error& error) {  // of torch; what() would add a stack trace
    return fail(error.what_without_backtrace());
  } catch (const std::exception& error) {  // Error among them
    return fail(error.what());
  }
}

}  // namespace
}  // namespace longgen

int main(int argc, char** argv) {
  longgen::open_standard_files();
  std::signal(SIGPIPE, SIG_IGN);  // writing to a closed pipe is seen by Output
  std::signal(SIGXFSZ, SIG_IGN);  // writing beyond ulimit -f is seen by whoever writes
  const int status = longgen::run_program(argc, argv);
  // Destructors of libtorch's tables of ops would take 80 ms, a third of what a short command
  // takes; what commands have opened is closed by now.
  std::fflush(nullptr);
  std::_Exit(status);
}
