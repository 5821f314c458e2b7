// cli/interrupt.h: Ctrl-C for commands that finish what they are at before they end.
#pragma once

#include <atomic>

namespace longgen {

/// From now on the first SIGINT or SIGTERM only sets interrupted(), and a second one ends the
/// program at once (exit code 128 + signal: 130 or 143). A command that does not call this is ended
/// by the first.
void catch_interrupts();

/// Set by the signal; for passing to the library (PrepareOptions::stop).
const std::atomic<bool>& interrupted();

/// The signal that came first, 0 when none has. A command that stopped because of it returns 128 +
/// this, or throws an Error, which main turns into the same.
int interrupt_signal();

}  // namespace longgen
