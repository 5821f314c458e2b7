#include "longgen/data/dataset_format.h"

#include <bit>
#include <cstdio>
#include <cstring>

#include "longgen/base/check.h"

namespace longgen {

// Shards and indexes are read in place, as they lie on the disk.
static_assert(std::endian::native == std::endian::little);

TokenType token_type_for(int64_t vocab_size) {
  return vocab_size <= 65536 ? TokenType::uint16 : TokenType::uint32;
}

std::string token_type_name(TokenType type) {
  return type == TokenType::uint16 ? "uint16" : "uint32";
}

TokenType parse_token_type(const std::string& name, const std::string& where) {
  for (const TokenType type : {TokenType::uint16, TokenType::uint32}) {
    if (name == token_type_name(type)) return type;
  }
  LG_FAIL(where, ": expected \"uint16\" or \"uint32\", found \"", name, "\".");
}

int64_t token_bytes(TokenType type) { return type == TokenType::uint16 ? 2 : 4; }

std::string format_hash(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

namespace {

std::string numbered(const std::string& split, int64_t number) {
  char digits[24];
  std::snprintf(digits, sizeof(digits), "%05lld", static_cast<long long>(number));
  return split + "-" + digits;
}

}  // namespace

std::string shard_name(const std::string& split, int64_t number) {
  return numbered(split, number) + ".bin";
}

std::string marks_name(const std::string& split, int64_t number) {
  return numbered(split, number) + ".marks";
}

std::string index_name(const std::string& split) { return split + ".idx"; }

std::string index_header() {
  const uint32_t version_and_zero[2] = {static_cast<uint32_t>(kDatasetVersion), 0};
  std::string bytes = "LGTOKIDX";
  bytes.append(reinterpret_cast<const char*>(version_and_zero), sizeof(version_and_zero));
  return bytes;
}

std::string IndexFooter::bytes() const {
  const uint64_t fields[3] = {num_documents, num_tokens, hash};
  return {reinterpret_cast<const char*>(fields), sizeof(fields)};
}

IndexFooter IndexFooter::parse(std::string_view bytes) {
  uint64_t fields[3] = {};
  LG_DCHECK(bytes.size() == sizeof(fields));
  std::memcpy(fields, bytes.data(), sizeof(fields));
  return {fields[0], fields[1], fields[2]};
}

}  // namespace longgen
