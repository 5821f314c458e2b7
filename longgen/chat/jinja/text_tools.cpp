#include "longgen/chat/jinja/text_tools.h"

#include "longgen/chat/jinja/characters.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

/// Calls change(code point, byte position) for each character and joins what it gives; each keeps
/// the origin of its character.
template <typename Change>
Text map_characters(Runtime& runtime, const Text& text, Change&& change) {
  runtime.budget.step(text.size());
  TextBuilder out(runtime.budget);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.bytes(), at);
    out.append(change(c.code_point, at), text.origin_at(at));
    at += c.length;
  }
  return out.take();
}

constexpr uint32_t kSigma = 0x3A3;

bool cased_around(const std::string& bytes, size_t at, bool before) {
  if (before) {
    while (at > 0) {
      at = previous_utf8(bytes, at);
      const uint32_t c = decode_utf8(bytes, at).code_point;
      if (is_cased(c)) return true;
      if (!is_case_ignorable(c)) return false;
    }
    return false;
  }
  while (at < bytes.size()) {
    const Utf8Char c = decode_utf8(bytes, at);
    if (is_cased(c.code_point)) return true;
    if (!is_case_ignorable(c.code_point)) return false;
    at += c.length;
  }
  return false;
}

/// The lower case of a character in its text: a capital sigma at the end of a word has its own.
std::string lower_at(const Text& text, uint32_t c, size_t at) {
  if (c != kSigma) return lower(c);
  const bool ends =
      cased_around(text.bytes(), at, true) && !cased_around(text.bytes(), at + 2, false);
  return ends ? "\xCF\x82" : "\xCF\x83";
}

bool is_line_break(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

Text stripped(const Text& text, Side side, const Text* characters) {
  const std::string& bytes = text.bytes();
  const auto goes = [characters](std::string_view whole, size_t at, const Utf8Char& c) {
    if (characters == nullptr) return is_space(c.code_point);
    return characters->bytes().find(whole.substr(at, c.length)) != std::string::npos;
  };
  size_t begin = 0, end = bytes.size();
  while (side != Side::right && begin < end) {
    const Utf8Char c = decode_utf8(bytes, begin);
    if (!goes(bytes, begin, c)) break;
    begin += c.length;
  }
  while (side != Side::left && end > begin) {
    const size_t last = previous_utf8(bytes, end);
    if (!goes(bytes, last, decode_utf8(bytes, last))) break;
    end = last;
  }
  return text.slice(begin, end);
}

Text replaced(Runtime& runtime, const Text& text, const Text& from, const Text& to, int64_t count) {
  runtime.budget.step(text.size());
  TextBuilder out(runtime.budget);
  size_t done = 0;
  const std::string& bytes = text.bytes();
  if (from.empty()) {
    // Python puts it before every character and at the end.
    for (; count != 0; --count) {
      out.append(to);
      if (done == bytes.size()) return out.take();
      const size_t length = decode_utf8(bytes, done).length;
      out.append(text, done, done + length);
      done += length;
    }
  }
  while (count != 0 && !from.empty()) {
    const size_t at = bytes.find(from.bytes(), done);
    if (at == std::string::npos) break;
    out.append(text, done, at);
    out.append(to);
    done = at + from.size();
    --count;
  }
  out.append(text, done, bytes.size());
  return out.take();
}

std::vector<Text> lines(Runtime& runtime, const Text& text, bool keep_ends) {
  runtime.budget.step(text.size());
  std::vector<Text> all;
  const std::string& bytes = text.bytes();
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, at);
    if (!is_line_break(c.code_point)) {
      at += c.length;
      continue;
    }
    size_t next = at + c.length;
    if (c.code_point == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    runtime.budget.check_items(all.size() + 1);
    all.push_back(text.slice(begin, keep_ends ? next : at));
    begin = at = next;
  }
  if (begin < bytes.size()) all.push_back(text.slice(begin, bytes.size()));
  return all;
}

Text padded(Runtime& runtime, const Text& text, int64_t width, std::string_view fill, Side side) {
  const auto size = static_cast<int64_t>(count_utf8(text.bytes()));
  if (width <= size) return text;
  const int64_t missing = width - size;
  if (static_cast<uint64_t>(missing) > runtime.budget.limits().text_bytes) {
    runtime.budget.check_text(runtime.budget.limits().text_bytes + 1);
  }
  // As Python's center() divides an odd number.
  const int64_t left = side == Side::left    ? missing
                       : side == Side::right ? 0
                                             : missing / 2 + (missing & width & 1);
  TextBuilder out(runtime.budget);
  for (int64_t i = 0; i < left; ++i) out.append(fill, Origin::data);
  out.append(text);
  for (int64_t i = left; i < missing; ++i) out.append(fill, Origin::data);
  return out.take();
}

Text joined(Runtime& runtime, const Text& separator, const Values& items) {
  TextBuilder out(runtime.budget);
  for (size_t i = 0; i < items.size(); ++i) {
    runtime.budget.step();
    if (i > 0) out.append(separator);
    if (!items[i].is_text()) {
      fail("sequence item ", i, ": expected a string, found '", type_name(items[i]), "'");
    }
    out.append(items[i].text());
  }
  return out.take();
}

bool all_cased(const Text& text, bool upper_case) {
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.bytes(), at);
    at += c.length;
    if (!is_cased(c.code_point)) continue;
    if (upper_case ? !is_upper(c.code_point) : !is_lower(c.code_point)) return false;
    any = true;
  }
  return any;
}

Text to_upper(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [](uint32_t c, size_t) { return upper(c); });
}

Text to_lower(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text,
                        [&text](uint32_t c, size_t at) { return lower_at(text, c, at); });
}

Text capitalized(Runtime& runtime, const Text& text) {
  return map_characters(runtime, text, [&text](uint32_t c, size_t at) {
    return at == 0 ? title(c) : lower_at(text, c, at);
  });
}

}  // namespace longgen::jinja
