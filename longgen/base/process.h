// base/process.h: other programs, and what this one uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longgen {

/// Runs a program (found on PATH unless it has a slash; no shell) and returns its stdout; its
/// stderr is ours. Throws Error naming the program when it cannot be started, fails, or is killed.
std::string run_program(const std::vector<std::string>& arguments);

/// Returns a path that runs this program once more, even if its file was replaced since it started.
std::string this_program();

/// Returns the words of the command line that started this process.
std::vector<std::string> this_command_line();

/// Return the most bytes that this process has had in RAM (VmHWM), and those it has now (VmRSS).
int64_t peak_memory_bytes();
int64_t memory_bytes();

}  // namespace longgen
