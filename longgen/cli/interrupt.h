// cli/interrupt.h: Ctrl-C for commands that finish what they are at before they end.
#pragma once

#include <atomic>
#include <functional>

namespace longgen {

/// Lets the first SIGINT or SIGTERM from now on only set interrupted(), and a second one end the
/// program at once (exit code 128 + signal: 130 or 143). A command that does not call this is ended
/// by the first. `tells`: the first one says so on stderr.
void catch_interrupts(bool tells = true);

/// Prepares for conversations at a terminal: SIGINT, as often as it comes, only sets interrupted(),
/// until clear_interrupt(); interrupt_signal() does not know it. SIGTERM acts as above.
void catch_interrupts_of_replies();
void clear_interrupt();

/// Waits until stdin has something to read, or its end. Returns false when interrupted() is set.
/// Calls `between` at the latest every tenth of a second, and after every signal.
bool wait_for_stdin(const std::function<void()>& between = [] {});

/// Returns the flag that the signal sets, to be passed to the library (PrepareOptions::stop).
const std::atomic<bool>& interrupted();

/// Returns the signal that came first, 0 when none has. A command that stopped because of it
/// returns 128 + this, or throws an Error, which main turns into the same.
int interrupt_signal();

/// 128 + the signal. Among ranks it may be another one that got it: then it counts as SIGTERM.
int exit_code_of_interrupt();

}  // namespace longgen
