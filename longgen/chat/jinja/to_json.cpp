// The filter tojson.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/text_tools.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

struct JsonStyle {
  bool ascii = false, sorted = false, multiline = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, JsonStyle style)
      : runtime_(runtime), style_(std::move(style)), out_(runtime.budget) {}

  void write(const Value& value) {
    const Budget::Nesting nesting(runtime_.budget);
    runtime_.budget.step();
    if (value.is_text()) return write_text(value.text());
    if (value.is_dict()) return write_dict(value.dict());
    const bool list = value.is_sequence() && (value.sequence().kind == SequenceKind::list ||
                                              value.sequence().kind == SequenceKind::tuple);
    if (list) return write_list(value.sequence().items);
    put(scalar(value));
  }
  Text take() { return out_.take(); }

 private:
  void put(std::string_view bytes) { out_.append(bytes, Origin::data); }

  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (value.is<bool>()) return value.get<bool>() ? "true" : "false";
    if (value.is<int64_t>()) return std::to_string(value.get<int64_t>());
    if (!value.is<double>()) {
      fail("tojson: an object of type ", type_name(value), " is not JSON serializable");
    }
    const double number = value.get<double>();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return float_repr(number);
  }

  void put_unit(uint32_t unit) {
    char text[8];
    std::snprintf(text, sizeof(text), "\\u%04x", unit & 0xFFFF);
    put(text);
  }

  void write_text(const Text& text) {
    static constexpr std::string_view kPlain = "\"\\\n\r\t\f\b", kNames = "\"\\nrtfb";
    const std::string& bytes = text.bytes();
    put("\"");
    size_t done = 0;
    for (size_t at = 0; at < bytes.size();) {
      const Utf8Char c = decode_utf8(bytes, at);
      const size_t name = c.code_point < 0x80 ? kPlain.find(static_cast<char>(c.code_point))
                                              : std::string_view::npos;
      const bool escapes = name != std::string_view::npos || c.code_point < 0x20 ||
                           (style_.ascii && c.code_point >= 0x80);
      if (escapes) {
        put(std::string_view(bytes).substr(done, at - done));
        if (name != std::string_view::npos) {
          const char escape[] = {'\\', kNames[name]};
          put({escape, 2});
        } else if (c.code_point >= 0x10000) {
          put_unit(0xD800 + ((c.code_point - 0x10000) >> 10));
          put_unit(0xDC00 + ((c.code_point - 0x10000) & 0x3FF));
        } else {
          put_unit(c.code_point);
        }
        done = at + c.length;
      }
      at += c.length;
    }
    put(std::string_view(bytes).substr(done));
    put("\"");
  }

  void new_line() {
    if (!style_.multiline) return;
    put("\n");
    for (int64_t i = 0; i < level_; ++i) put(style_.indent);
  }

  template <typename Items, typename WriteItem>
  void write_items(const char* brackets, const Items& items, WriteItem&& write_item) {
    put({brackets, 1});
    if (!items.empty()) {
      ++level_;
      bool first = true;
      for (const auto& item : items) {
        if (!first) put(style_.item_separator);
        first = false;
        new_line();
        write_item(item);
      }
      --level_;
      new_line();
    }
    put({brackets + 1, 1});
  }

  void write_list(const Values& items) {
    write_items("[]", items, [this](const Value& item) { write(item); });
  }

  void write_key(const Value& key) {
    if (key.is_text()) return write_text(key.text());
    if (!key.is_none() && !key.is_number()) {
      fail("tojson: keys must be strings, numbers or None, not ", type_name(key));
    }
    put("\"" + scalar(key) + "\"");
  }

  void write_dict(const Dict& dict) {
    std::vector<const Dict::Item*> items;
    for (const Dict::Item& item : dict.items()) items.push_back(&item);
    runtime_.budget.take(items.size() * sizeof(items[0]));
    if (style_.sorted) {
      std::stable_sort(items.begin(), items.end(), [this](const auto* a, const auto* b) {
        return sorts_before(runtime_.budget, a->key, b->key);
      });
    }
    write_items("{}", items, [this](const Dict::Item* item) {
      write_key(item->key);
      put(style_.key_separator);
      write(item->value);
    });
  }

  Runtime& runtime_;
  JsonStyle style_;
  TextBuilder out_;
  int64_t level_ = 0;
};

}  // namespace

Value to_json(Runtime& runtime, const Value& value, CallArguments arguments) {
  const BoundArguments bound("tojson", std::move(arguments),
                             {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = bound.flag(0, false);
  style.sorted = bound.flag(3, false);
  style.multiline = bound.has_value(1);
  if (style.multiline) {
    style.item_separator = ",";
    style.indent =
        bound[1].is_text()
            ? bound[1].bytes()
            : padded(runtime, {}, to_int(bound[1], "tojson: indent"), " ", Side::left).bytes();
  }
  if (bound.has_value(2)) {
    const Values both = collect(runtime, bound[2]);
    if (both.size() != 2) fail("tojson: expected two separators, found ", both.size());
    style.item_separator = require_text(both[0], "tojson: separators").bytes();
    style.key_separator = require_text(both[1], "tojson: separators").bytes();
  }
  JsonWriter writer(runtime, std::move(style));
  writer.write(value);
  return runtime.text(writer.take());
}

}  // namespace longgen::jinja
