// The methods of str.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/characters.h"
#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/percent_format.h"
#include "longgen/chat/jinja/text_tools.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

using Method = Value (*)(Runtime&, const Text&, CallArguments);

Value make_list(Runtime& runtime, std::vector<Text> parts, SequenceKind kind = SequenceKind::list) {
  Values items;
  items.reserve(parts.size());
  for (Text& part : parts) items.push_back(runtime.text(std::move(part)));
  return runtime.sequence(std::move(items), kind);
}

template <Side side>
Value strip(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("strip()", std::move(arguments), {"chars"});
  runtime.budget.step(self.size());
  return runtime.text(stripped(self, side, bound.has_value(0) ? &bound.text(0) : nullptr));
}

/// Splits at white space, at most `limit` times from the left; the rest keeps its own.
std::vector<Text> split_space(const Text& text, int64_t limit) {
  std::vector<Text> parts;
  const std::string& bytes = text.bytes();
  size_t at = 0;
  while (true) {
    at += leading_space(std::string_view(bytes).substr(at));
    if (at == bytes.size()) return parts;
    if (limit-- == 0) {
      parts.push_back(text.slice(at, bytes.size()));
      return parts;
    }
    size_t end = at;
    while (end < bytes.size()) {
      const Utf8Char c = decode_utf8(bytes, end);
      if (is_space(c.code_point)) break;
      end += c.length;
    }
    parts.push_back(text.slice(at, end));
    at = end;
  }
}

std::vector<Text> split_at(Runtime& runtime, const Text& text, const Text& separator, int64_t limit,
                           bool from_right) {
  if (separator.empty()) fail("empty separator");
  std::vector<Text> parts;
  const std::string& bytes = text.bytes();
  size_t done = from_right ? bytes.size() : 0;
  while (limit-- != 0) {
    runtime.budget.check_items(parts.size() + 2);
    if (from_right) {
      if (done < separator.size()) break;
      const size_t at = bytes.rfind(separator.bytes(), done - separator.size());
      if (at == std::string::npos) break;
      parts.push_back(text.slice(at + separator.size(), done));
      done = at;
    } else {
      const size_t at = bytes.find(separator.bytes(), done);
      if (at == std::string::npos) break;
      parts.push_back(text.slice(done, at));
      done = at + separator.size();
    }
  }
  parts.push_back(from_right ? text.slice(0, done) : text.slice(done, bytes.size()));
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Value split(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("split()", std::move(arguments), {"sep", "maxsplit"});
  const int64_t limit = bound.integer(1, -1);
  runtime.budget.step(self.size());
  if (bound.has_value(0)) {
    return make_list(runtime, split_at(runtime, self, bound.text(0), limit, from_right));
  }
  if (from_right && limit >= 0) fail("rsplit() at white space with a limit is not supported");
  return make_list(runtime, split_space(self, limit));
}

Value splitlines(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("splitlines()", std::move(arguments), {"keepends"});
  return make_list(runtime, lines(runtime, self, bound.flag(0, false)));
}

template <bool from_right>
Value partition(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("partition()", std::move(arguments), {"sep"}, 1);
  const Text& separator = bound.text(0);
  if (separator.empty()) fail("empty separator");
  runtime.budget.step(self.size());
  const size_t at =
      from_right ? self.bytes().rfind(separator.bytes()) : self.bytes().find(separator.bytes());
  std::vector<Text> parts;
  if (at == std::string::npos) {
    parts = from_right ? std::vector<Text>{{}, {}, self} : std::vector<Text>{self, {}, {}};
  } else {
    const size_t end = at + separator.size();
    parts = {self.slice(0, at), separator, self.slice(end, self.size())};
  }
  return make_list(runtime, std::move(parts), SequenceKind::tuple);
}

/// The bytes of self[start:end].
ByteRange window(const Text& self, const BoundArguments& bound) {
  if (!bound.has_value(1) && !bound.has_value(2)) return {0, self.size()};
  const auto size = static_cast<int64_t>(count_utf8(self.bytes()));
  const auto place = [&](size_t index, int64_t fallback) {
    if (!bound.has_value(index)) return fallback;
    const int64_t at = bound.integer(index, 0);
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t first = place(1, 0), last = place(2, size);
  ByteRange range{0, 0};
  int64_t index = 0;
  for (size_t at = 0; index <= size; ++index) {
    if (index == first) range.begin = at;
    if (index == last) range.end = at;
    if (index < size) at += decode_valid_utf8(self.bytes().data() + at).length;
  }
  return range;
}

template <bool at_end>
Value starts_or_ends(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound(at_end ? "endswith()" : "startswith()", std::move(arguments),
                             {"prefix", "start", "end"}, 1);
  const ByteRange range = window(self, bound);
  if (range.begin > range.end) return Value(false);
  const std::string_view part =
      std::string_view(self.bytes()).substr(range.begin, range.end - range.begin);
  const auto matches = [&](const Value& wanted) {
    const std::string& text = require_text(wanted, bound.function().c_str()).bytes();
    return at_end ? part.ends_with(text) : part.starts_with(text);
  };
  runtime.budget.step();
  const bool tuple = bound[0].is_sequence() && bound[0].sequence().kind == SequenceKind::tuple;
  if (!tuple) return Value(matches(bound[0]));
  const Values& items = bound[0].sequence().items;
  runtime.budget.step(items.size() * 64);
  return Value(std::any_of(items.begin(), items.end(), matches));
}

enum class Search { find, rfind, index, rindex };

template <Search kind>
Value search(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("find()", std::move(arguments), {"sub", "start", "end"}, 1);
  runtime.budget.step(self.size());
  const ByteRange range = window(self, bound);
  constexpr bool from_right = kind == Search::rfind || kind == Search::rindex;
  size_t at = std::string::npos;
  if (range.begin <= range.end) {
    const std::string_view part =
        std::string_view(self.bytes()).substr(range.begin, range.end - range.begin);
    at = from_right ? part.rfind(bound.text(0).bytes()) : part.find(bound.text(0).bytes());
  }
  if (at == std::string::npos) {
    if (kind == Search::index || kind == Search::rindex) fail("substring not found");
    return Value(int64_t{-1});
  }
  const std::string_view before = std::string_view(self.bytes()).substr(0, range.begin + at);
  return Value(static_cast<int64_t>(count_utf8(before)));
}

Value count(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("count()", std::move(arguments), {"sub"}, 1);
  runtime.budget.step(self.size());
  const std::string& wanted = bound.text(0).bytes();
  if (wanted.empty()) return Value(static_cast<int64_t>(count_utf8(self.bytes())) + 1);
  int64_t found = 0;
  for (size_t at = self.bytes().find(wanted); at != std::string::npos;
       at = self.bytes().find(wanted, at + wanted.size())) {
    ++found;
  }
  return Value(found);
}

Value replace(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("replace()", std::move(arguments), {"old", "new", "count"}, 2);
  return runtime.text(replaced(runtime, self, bound.text(0), bound.text(1), bound.integer(2, -1)));
}

template <Text (*change)(Runtime&, const Text&)>
Value changed(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("the method", std::move(arguments), {});
  return runtime.text(change(runtime, self));
}

Text titled(Runtime& runtime, const Text& self) {
  TextBuilder out(runtime.budget);
  bool in_word = false;
  for (size_t at = 0; at < self.size();) {
    const Utf8Char c = decode_utf8(self.bytes(), at);
    out.append(in_word ? lower(c.code_point) : title(c.code_point), self.origin_at(at));
    in_word = is_cased(c.code_point);
    at += c.length;
  }
  return out.take();
}

Value join(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("join()", std::move(arguments), {"iterable"}, 1);
  return runtime.text(joined(runtime, self, collect(runtime, bound[0])));
}

Value format(Runtime& runtime, const Text& self, CallArguments arguments) {
  return runtime.text(brace_format(runtime, self, arguments));
}

template <bool prefix>
Value remove_affix(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("removeprefix()", std::move(arguments), {"prefix"}, 1);
  const std::string& affix = bound.text(0).bytes();
  if (prefix && self.bytes().starts_with(affix)) {
    return runtime.text(self.slice(affix.size(), self.size()));
  }
  if (!prefix && self.bytes().ends_with(affix)) {
    return runtime.text(self.slice(0, self.size() - affix.size()));
  }
  return runtime.text(self);
}

template <Side side>
Value pad(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("the method", std::move(arguments), {"width", "fillchar"}, 1);
  const std::string fill = bound.has(1) ? bound.text(1).bytes() : " ";
  if (count_utf8(fill) != 1) fail("the fill character must be exactly one character long");
  return runtime.text(padded(runtime, self, bound.integer(0, 0), fill, side));
}

Value zfill(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("zfill()", std::move(arguments), {"width"}, 1);
  const bool sign = self.bytes().starts_with('-') || self.bytes().starts_with('+');
  TextBuilder out(runtime.budget);
  out.append(self, 0, sign ? 1 : 0);
  const Text rest = self.slice(sign ? 1 : 0, self.size());
  // A width below the length adds nothing, also the smallest one less the sign.
  const int64_t width = std::max<int64_t>(bound.integer(0, 0), 0) - (sign ? 1 : 0);
  out.append(padded(runtime, rest, width, "0", Side::left));
  return runtime.text(out.take());
}

/// Whether all characters are of a kind, and there is one.
template <bool (*of_kind)(uint32_t)>
Value all(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("the method", std::move(arguments), {});
  runtime.budget.step(self.size());
  for (size_t at = 0; at < self.size();) {
    const Utf8Char c = decode_utf8(self.bytes(), at);
    if (!of_kind(c.code_point)) return Value(false);
    at += c.length;
  }
  return Value(!self.empty());
}

Value is_ascii(Runtime&, const Text& self, CallArguments arguments) {
  const BoundArguments bound("isascii()", std::move(arguments), {});
  return Value(std::all_of(self.bytes().begin(), self.bytes().end(),
                           [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

template <bool upper_case>
Value has_case(Runtime& runtime, const Text& self, CallArguments arguments) {
  const BoundArguments bound("the method", std::move(arguments), {});
  runtime.budget.step(self.size());
  return Value(all_cased(self, upper_case));
}

const std::unordered_map<std::string_view, Method> kMethods = {
    {"strip", strip<Side::both>},
    {"lstrip", strip<Side::left>},
    {"rstrip", strip<Side::right>},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"startswith", starts_or_ends<false>},
    {"endswith", starts_or_ends<true>},
    {"find", search<Search::find>},
    {"rfind", search<Search::rfind>},
    {"index", search<Search::index>},
    {"rindex", search<Search::rindex>},
    {"count", count},
    {"replace", replace},
    {"upper", changed<to_upper>},
    {"lower", changed<to_lower>},
    {"capitalize", changed<capitalized>},
    {"title", changed<titled>},
    {"join", join},
    {"format", format},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"center", pad<Side::both>},
    {"ljust", pad<Side::right>},
    {"rjust", pad<Side::left>},
    {"zfill", zfill},
    {"isalpha", all<is_alpha>},
    {"isdecimal", all<is_decimal>},
    {"isdigit", all<is_digit>},
    {"isalnum", all<is_alnum>},
    {"isspace", all<is_space>},
    {"isascii", is_ascii},
    {"isupper", has_case<true>},
    {"islower", has_case<false>},
};

const std::unordered_set<std::string_view> kUnsupported = {
    "casefold", "encode",      "expandtabs", "format_map", "isidentifier", "isnumeric",
    "istitle",  "isprintable", "maketrans",  "swapcase",   "translate"};

/// Methods whose result is markup where the string is, and that put nothing into it.
const std::unordered_set<std::string_view> kKeepMarkup = {
    "capitalize", "lower", "lstrip", "removeprefix", "removesuffix",
    "rstrip",     "strip", "title",  "upper",        "zfill"};

}  // namespace

std::optional<Value> find_text_method(Runtime& runtime, const Value& object,
                                      const std::string& name) {
  const auto it = kMethods.find(name);
  if (it == kMethods.end()) {
    if (kUnsupported.contains(name)) fail("the method ", name, "() of a string is not supported");
    return std::nullopt;
  }
  const Method call = it->second;
  return runtime.method(name, object, [object, call, name](Runtime& r, CallArguments arguments) {
    r.budget.step();
    const Text& self = object.text();
    Value result = call(r, self, std::move(arguments));
    if (!self.is_markup() || result.is_number()) return result;
    if (!kKeepMarkup.contains(name)) {
      fail("the method ", name, "() after the filters escape and safe is not supported");
    }
    return r.text_like(self, result.text());
  });
}

}  // namespace longgen::jinja
