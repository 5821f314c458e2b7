// cli/prompt_text.h: prompts that come as bytes of a file or of stdin.
#pragma once

#include <string>

namespace longgen {

/// The text of a file: without a byte order mark at its start, and with line ends of Windows (CR
/// LF) as LF, because neither is what a writer meant to say. A CR alone stays. Throws Error naming
/// `source` on UTF-16, which some editors and shells of Windows write.
std::string prompt_text(std::string bytes, const std::string& source);

}  // namespace longgen
