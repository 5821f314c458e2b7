// Filters of strings.
#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/characters.h"
#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/percent_format.h"
#include "longgen/chat/jinja/text_tools.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

template <Text (*change)(Runtime&, const Text&)>
Value changed(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("the filter", std::move(arguments), {});
  return runtime.text(change(runtime, to_text(runtime, input)));
}

/// Every word, as the filter sees words: after blanks, hyphens and opening brackets.
Text titled(Runtime& runtime, const Text& text) {
  TextBuilder out(runtime.budget);
  bool begins = true;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.bytes(), at);
    const bool divides =
        is_space(c.code_point) ||
        (c.code_point < 0x80 &&
         std::string_view("-({[<").find(static_cast<char>(c.code_point)) != std::string_view::npos);
    out.append(begins && !divides ? upper(c.code_point) : lower(c.code_point), text.origin_at(at));
    begins = divides;
    at += c.length;
  }
  return out.take();
}

Value trim(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("trim", std::move(arguments), {"chars"});
  const Text text = to_text(runtime, input);
  runtime.budget.step(text.size());
  return runtime.text(stripped(text, Side::both, bound.has_value(0) ? &bound.text(0) : nullptr));
}

Value replace(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("replace", std::move(arguments), {"old", "new", "count"}, 2);
  const int64_t count = bound.has_value(2) ? bound.integer(2, -1) : -1;
  return runtime.text(replaced(runtime, to_text(runtime, input), to_text(runtime, bound[0]),
                               to_text(runtime, bound[1]), count));
}

Value string(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("string", std::move(arguments), {});
  return input.is_text() ? input : runtime.text(to_text(runtime, input));
}

Value format(Runtime& runtime, const Value& input, CallArguments arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    fail("format takes positional or named arguments, not both");
  }
  Value values = runtime.sequence(std::move(arguments.positional), SequenceKind::tuple);
  if (!arguments.named.empty()) {
    Dict dict;
    for (auto& [name, value] : arguments.named) {
      dict.set_text(runtime.text(name, Origin::written), std::move(value));
    }
    values = runtime.dict(std::move(dict));
  }
  return runtime.text(percent_format(runtime, to_text(runtime, input), values));
}

Value indent(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("indent", std::move(arguments), {"width", "first", "blank"});
  const Text& text = require_text(input, "indent");
  Text prefix;
  if (bound.has(0) && bound[0].is_text()) {
    prefix = bound.text(0);
  } else {
    prefix = padded(runtime, {}, bound.integer(0, 4), " ", Side::left);
  }
  // The line break that is added keeps the last line, also when it is empty.
  Text with_end = text;
  with_end.append("\n", Origin::data);
  const std::vector<Text> all = lines(runtime, with_end, false);
  TextBuilder out(runtime.budget);
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0) out.append("\n", Origin::written);
    const bool indents = i == 0 ? bound.flag(1, false) : bound.flag(2, false) || !all[i].empty();
    if (indents) out.append(prefix);
    out.append(all[i]);
  }
  return runtime.text(out.take());
}

Value truncate(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("truncate", std::move(arguments),
                             {"length", "killwords", "end", "leeway"});
  const int64_t length = bound.integer(0, 255);
  const int64_t leeway = bound.has_value(3) ? bound.integer(3, 5) : 5;
  const Text end = bound.has(2) ? bound.text(2) : Text("...", Origin::written);
  const auto end_length = static_cast<int64_t>(count_utf8(end.bytes()));
  if (length < end_length) fail("truncate: expected a length of at least ", end_length);
  if (leeway < 0) fail("truncate: expected a leeway of at least 0");
  runtime.budget.step(input.is_text() ? input.text().size() : 0);
  const int64_t size = jinja::length(input);
  if (size <= length || size - length <= leeway) return input;
  const Text& text = require_text(input, "truncate");
  size_t cut = 0;
  for (int64_t i = 0; i < length - end_length; ++i) {
    cut += decode_valid_utf8(text.bytes().data() + cut).length;
  }
  if (!bound.flag(1, false)) {
    const size_t blank = text.bytes().substr(0, cut).rfind(' ');
    if (blank != std::string::npos) cut = blank;
  }
  TextBuilder out(runtime.budget);
  out.append(text, 0, cut);
  out.append(end);
  return runtime.text(out.take());
}

Value center(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("center", std::move(arguments), {"width"});
  return runtime.text(
      padded(runtime, to_text(runtime, input), bound.integer(0, 80), " ", Side::both));
}

Value word_count(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("wordcount", std::move(arguments), {});
  const Text text = to_text(runtime, input);
  runtime.budget.step(text.size());
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.bytes(), at);
    const bool word = c.code_point == '_' || char_class(c.code_point) == CharClass::letter ||
                      char_class(c.code_point) == CharClass::number;
    words += word && !in_word ? 1 : 0;
    in_word = word;
    at += c.length;
  }
  return Value(words);
}

Value safe(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("safe", std::move(arguments), {});
  Text text = to_text(runtime, input);
  text.set_markup();
  return runtime.text(std::move(text));
}

Value force_escape(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("forceescape", std::move(arguments), {});
  const Text text = to_text(runtime, input);
  runtime.budget.step(text.size());
  TextBuilder out(runtime.budget);
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text.bytes()[at];
    const char* const name = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '\'' ? "&#39;"
                             : c == '"'  ? "&#34;"
                                         : nullptr;
    if (name == nullptr) {
      out.append(text, at, at + 1);
    } else {
      out.append(name, text.origin_at(at));
    }
  }
  Text escaped = out.take();
  escaped.set_markup();
  return runtime.text(std::move(escaped));
}

Value escape(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("escape", std::move(arguments), {});
  const bool escaped = input.is_text() && input.text().is_markup();
  return escaped ? input : force_escape(runtime, input, {});
}

}  // namespace

const FilterTable& text_filters() {
  static const FilterTable table = {
      {"upper", changed<to_upper>},
      {"lower", changed<to_lower>},
      {"capitalize", changed<capitalized>},
      {"title", changed<titled>},
      {"trim", trim},
      {"replace", replace},
      {"string", string},
      {"format", format},
      {"indent", indent},
      {"truncate", truncate},
      {"center", center},
      {"wordcount", word_count},
      {"safe", safe},
      {"escape", escape},
      {"e", escape},
      {"forceescape", force_escape},
  };
  return table;
}

}  // namespace longgen::jinja
