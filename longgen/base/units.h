// base/units.h: numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

/// Writes 1536 as "1.5 KiB": three significant digits, binary units.
std::string format_bytes(int64_t bytes);

/// Writes 131072 as "131,072".
std::string format_count(int64_t count);

/// Writes 1, "file" as "1 file", 2345 as "2,345 files"; the noun's plural must take an s.
std::string format_count(int64_t count, const std::string& noun);

/// Writes 134515008 as "134.5M": parameters, tokens and FLOPs.
std::string format_si(double value);
/// Writes 6.2e15, "FLOP" as "6.20 PFLOP".
std::string format_si(double value, const std::string& unit);

/// Writes 3723 as "1h02m03s", 75 as "1m15s" and 3.21 as "3.2s".
std::string format_duration(double seconds);
/// Writes 0.0201 as "20.1 ms", 5.24 as "5.24 s" and 3723 as "1h02m03s": three significant digits.
std::string format_seconds(double seconds);

/// Reads "16384", "16K", "1M" or "2G" (binary multiples, as context lengths are named). Throws
/// Error naming `what` on anything else.
int64_t parse_count(const std::string& text, const std::string& what);

}  // namespace longgen
