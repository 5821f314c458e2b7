// base/warning_handler.h: warnings for a program that is not ours.
#pragma once

#include <functional>
#include <string>

namespace longgen {

/// Called with a warning, by the thread that found it.
using WarningHandler = std::function<void(const std::string& warning)>;

/// Makes log_warning() give its messages to a function instead of writing them to stderr; an empty
/// one ends that. May be called by any thread.
void handle_warnings(WarningHandler handler);

}  // namespace longgen
