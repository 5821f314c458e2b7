#include "longgen/serve/http/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "longgen/base/check.h"

namespace longgen::http {
namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;

// What a header can carry: a key with other bytes could never be sent.
bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

ApiKeys::Digest ApiKeys::digest_of(std::string_view key) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

ApiKeys ApiKeys::read(const fs::path& file) {
  ApiKeys keys;
  std::istringstream lines(read_file(file, kMaxFileBytes));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0][0] == '#') continue;
    const std::string where = file.string() + ": line " + std::to_string(number) + ": ";
    LG_CHECK(words.size() <= 2, where, "expected a key, or a name and a key, found ", words.size(),
             " words.");
    for (const std::string& word : words) {
      LG_CHECK(is_printable(word), where, "expected visible ASCII characters only.");
    }
    LG_CHECK(!keys.name_of(words.back()), where, "this key stands in a line before.");
    keys.add(words.size() == 2 ? words[0] : "key" + std::to_string(keys.keys_.size() + 1),
             words.back());
  }
  LG_CHECK(!keys.empty(), file.string(),
           ": expected API keys, one a line, as \"KEY\" or \"NAME KEY\"; found none.");
  return keys;
}

void ApiKeys::add(std::string name, std::string_view key) {
  keys_.push_back({std::move(name), digest_of(key)});
}

std::optional<std::string> ApiKeys::name_of(std::string_view key) const {
  const Digest digest = digest_of(key);
  const Key* found = nullptr;
  for (const Key& known : keys_) {
    if (CRYPTO_memcmp(known.digest.data(), digest.data(), digest.size()) == 0) found = &known;
  }
  return found ? std::optional(found->name) : std::nullopt;
}

}  // namespace longgen::http
