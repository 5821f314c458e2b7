// eval/tasks/text_lines.h: files of items that have one a line.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "longgen/base/files.h"

namespace longgen {

/// Returns the text without spaces, tabs and carriage returns at both ends.
std::string_view trimmed(std::string_view text);

/// Calls `visit` with each line of the file that holds more than white space, trimmed, and with
/// "FILE:LINE" for messages. Throws Error when the file is not UTF-8.
void for_each_line(
    const fs::path& path,
    const std::function<void(std::string_view line, const std::string& where)>& visit);

}  // namespace longgen
