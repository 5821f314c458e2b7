// base/log.h: what the program says while it works. All of it goes to stderr, because stdout
// belongs to results.
#pragma once

#include <string>

namespace longgen {

void log_info(const std::string& message);
void log_warning(const std::string& message);

/// Sets whether only warnings are written from now on (--quiet).
void set_quiet(bool quiet);

/// Says whether a line is on the terminal that is redrawn in place (a progress bar): messages erase
/// it first, and it appears again below them.
void set_open_line(bool open);

}  // namespace longgen
