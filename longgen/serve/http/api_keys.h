// serve/http/api_keys.h: who may ask.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"

namespace longgen::http {

/// API keys with names. Only their SHA-256 is kept, and all of these are compared, each in constant
/// time, so that how long an answer takes says nothing about a key.
class ApiKeys {
 public:
  /// Makes a set without keys: everybody may ask.
  ApiKeys() = default;
  /// Reads a file of one key a line, "KEY" or "NAME KEY"; several keys may have one name. Empty
  /// lines and those that begin with # are left out. A key without a name is called key1, key2, ...
  /// by its place among the keys. Throws Error naming file and line, never the key, where a line is
  /// neither, where a key stands twice, and where there is none.
  static ApiKeys read(const fs::path& file);

  void add(std::string name, std::string_view key);
  bool empty() const { return keys_.empty(); }
  /// Returns the name of a key, or nothing where it is none of these.
  std::optional<std::string> name_of(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Key {
    std::string name;
    Digest digest;
  };
  static Digest digest_of(std::string_view key);

  std::vector<Key> keys_;
};

}  // namespace longgen::http
