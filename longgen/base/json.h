// base/json.h: JSON from outside, read with limits and with errors that name file, field, expected
// and found.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

/// Parses one JSON value. Throws Error naming `source` on a syntax error (line,
/// column and what is wrong there in plain words), on nesting deeper than 64 (a
/// parser's stack is not the file's to use up) and on duplicate keys in one object
/// (two readers would disagree about which one counts).
Json parse_json(std::string_view text, const std::string& source);

/// Reads one object with types. Every error names the source, the field's path, what was expected
/// and what was found. It holds references: the Json must outlive the reader.
class JsonObject {
 public:
  JsonObject(const Json& value, std::string source, std::string path = "");

  bool has(const std::string& key) const;  ///< present and not null
  const Json& raw(const std::string& key) const;
  JsonObject object(const std::string& key) const;
  std::string string(const std::string& key) const;
  std::string string(const std::string& key, const std::string& fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  /// Reads a number within [low, high].
  int64_t integer(const std::string& key, int64_t low, int64_t high) const;
  int64_t integer(const std::string& key, int64_t low, int64_t high, int64_t fallback) const;
  double number(const std::string& key, double low, double high) const;
  double number(const std::string& key, double low, double high, double fallback) const;
  std::vector<int64_t> integers(const std::string& key, int64_t low, int64_t high) const;

  const Json& value() const { return value_; }
  const std::string& source() const { return source_; }
  /// Returns "config.json: field rope_scaling.factor", the start of a caller's own message.
  std::string where(const std::string& key) const;

 private:
  [[noreturn]] void wrong(const std::string& key, const std::string& expected,
                          const Json& found) const;

  const Json& value_;
  std::string source_, path_;
};

/// Writes JSON, in which each byte that is not UTF-8 becomes U+FFFD, because JSON cannot carry it.
std::string dump_json(const Json& value, int indent = -1);
std::string dump_json(const OrderedJson& value, int indent = -1);

}  // namespace longgen
