// cli/shell_quote.h: words of a command line to copy into a shell.
#pragma once

#include <string>

namespace longgen {

/// Writes the word so that POSIX shells read it back: in single quotes where it has anything but
/// letters, digits and "%+,-./:=@_".
std::string shell_quote(const std::string& word);

}  // namespace longgen
