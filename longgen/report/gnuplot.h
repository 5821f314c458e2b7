// report/gnuplot.h: pictures drawn by the program gnuplot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "longgen/base/files.h"

namespace longgen {

/// Writes a text from outside as one gnuplot string, quotation marks included: nothing in it is
/// run, replaced or formatted. Control characters become spaces, bytes that are not UTF-8 U+FFFD;
/// after max_chars characters it ends in an ellipsis.
std::string gnuplot_string(std::string_view text, int64_t max_chars);

/// Writes a script that draws the same twice, as name.svg and name.png: `body` between the lines
/// that open and close each picture. Plain text stays plain (no "enhanced" markup).
std::string gnuplot_script(const std::string& name, int64_t width, int64_t height,
                           const std::string& body);

/// Runs `program name.gp` (no shell, no start-up files) on the files name.gp and name.dat of the
/// folder, for at most timeout_s seconds, and puts name.svg and name.png beside them, whole or not
/// at all. Returns "" or why there are no pictures and what to do; then pictures of an earlier run
/// are removed, because they would show other data.
std::string run_gnuplot(const std::string& program, const fs::path& folder, const std::string& name,
                        double timeout_s = 120);

}  // namespace longgen
