// base/units.h: numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

/// 1536 -> "1.5 KiB"; three significant digits, binary units.
std::string format_bytes(int64_t bytes);

/// 131072 -> "131,072".
std::string format_count(int64_t count);

/// 1, "file" -> "1 file"; 2345, "file" -> "2,345 files". For nouns whose plural takes an s.
std::string format_count(int64_t count, const std::string& noun);

/// 134515008 -> "134.5M"; for parameters, tokens and FLOPs.
std::string format_si(double value);
/// 6.2e15, "FLOP" -> "6.20 PFLOP".
std::string format_si(double value, const std::string& unit);

/// 3723 -> "1h02m03s", 75 -> "1m15s", 3.21 -> "3.2s".
std::string format_duration(double seconds);
/// 0.0201 -> "20.1 ms", 5.24 -> "5.24 s", 3723 -> "1h02m03s"; three significant digits.
std::string format_seconds(double seconds);

/// "16384", "16K", "1M", "2G" (binary multiples, as context lengths are named). Throws Error naming
/// `what`.
int64_t parse_count(const std::string& text, const std::string& what);

}  // namespace longgen
