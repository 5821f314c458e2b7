// base/log.h: what the program says while it works. Everything goes to stderr; stdout belongs to
// results.
#pragma once

#include <string>

namespace longgen {

void log_info(const std::string& message);
void log_warning(const std::string& message);

/// Only warnings from now on (--quiet).
void set_quiet(bool quiet);

/// Whether a line is on the terminal that is redrawn in place (a progress bar): messages erase it
/// first, and it appears again below them.
void set_open_line(bool open);

}  // namespace longgen
