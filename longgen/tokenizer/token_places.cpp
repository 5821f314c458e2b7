#include "longgen/tokenizer/token_places.h"

#include <optional>
#include <string>

#include "longgen/base/check.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// Returns the first position from `at` on where the text has no white space. Between the bytes of
/// a character there is none.
size_t behind_space(std::string_view text, size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) {
    const Utf8Char c = decode_valid_utf8(text.data() + at);
    if (char_class(c.code_point) != CharClass::space) break;
    at += c.length;
  }
  return at;
}

/// Finds the surface of a token in the text at `at`, where the pre-tokenizer may have put in spaces
/// and taken out white space.
std::optional<ByteRange> find_loosely(std::string_view text, size_t at, std::string_view surface) {
  std::optional<ByteRange> found;
  const auto take = [&](size_t begin, size_t size) {
    if (!found) found = ByteRange{begin, begin};
    found->end = at = begin + size;
  };
  while (!surface.empty()) {
    const bool metaspace = surface.starts_with(kMetaspace);
    const size_t size = metaspace ? kMetaspace.size() : 1;
    const std::string_view next = surface.substr(0, size);
    surface.remove_prefix(size);
    if (text.substr(at).starts_with(next)) {
      take(at, size);
    } else if (metaspace && text.substr(at).starts_with(' ')) {
      take(at, 1);
    } else if (!metaspace && next != " ") {
      const size_t behind = behind_space(text, at);
      if (!text.substr(behind).starts_with(next)) return std::nullopt;
      take(behind, size);
    }
  }
  return found.value_or(ByteRange{at, at});
}

std::optional<ByteRange> find_token(std::string_view text, size_t at, const BpeModel& model,
                                    int32_t id) {
  const std::string surface = model.surface(id);
  if (text.substr(at).starts_with(surface)) return ByteRange{at, at + surface.size()};
  if (const std::optional<uint8_t> byte = model.fallback_byte(id)) {
    for (const size_t here : {at, behind_space(text, at)}) {
      const bool found = here < text.size() && static_cast<uint8_t>(text[here]) == *byte;
      if (found) return ByteRange{here, here + 1};
    }
    return std::nullopt;
  }
  return find_loosely(text, at, surface);
}

}  // namespace

void append_places(std::string_view text, std::span<const int32_t> ids, const BpeModel& model,
                   std::vector<ByteRange>& places) {
  size_t at = 0;
  const auto expect = [&](bool found, const std::string& what) {
    LG_CHECK(found, "[tokenizer] no place in the text can be told of ", what, " at \"",
             replace_invalid_utf8(text.substr(at, 40)),
             "\": this tokenizer writes it otherwise than it stands there, or leaves it out.");
  };
  for (const int32_t id : ids) {
    const std::optional<ByteRange> place = find_token(text, at, model, id);
    expect(place.has_value(), "token " + std::to_string(id));
    places.push_back(*place);
    at = place->end;
  }
  expect(behind_space(text, at) == text.size(), "a token");
}

void move_back(std::span<ByteRange> ranges, std::span<const TextEdit> edits) {
  const auto move = [&](size_t ByteRange::*side, bool is_end) {
    size_t next = 0, old_at = 0, new_at = 0;  // behind the edits passed so far
    for (ByteRange& range : ranges) {
      size_t& at = range.*side;
      const auto new_begin = [&] { return new_at + (edits[next].begin - old_at); };
      const auto new_end = [&] { return new_begin() + edits[next].new_size; };
      // What was taken out right behind a range is no part of it.
      while (next < edits.size() && new_end() <= at && (!is_end || new_begin() < at)) {
        new_at = new_end();
        old_at = edits[next++].end;
      }
      const bool within =
          next < edits.size() && (is_end ? new_begin() < at : new_begin() <= at) && at < new_end();
      if (within) {
        at = is_end ? edits[next].end : edits[next].begin;
      } else {
        at = old_at + (at - new_at);
      }
    }
  };
  move(&ByteRange::begin, false);
  move(&ByteRange::end, true);
}

}  // namespace longgen
