// str() and repr() of python.h.
#include <charconv>
#include <cmath>

#include <utf8proc.h>

#include "longgen/chat/jinja/loop_state.h"
#include "longgen/chat/jinja/macro.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

bool is_printable(uint32_t code_point) {
  if (code_point == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return false;
    default:
      return true;
  }
}

std::string escaped(uint32_t code_point) {
  char out[16];
  const char* const format = code_point < 0x100     ? "\\x%02x"
                             : code_point < 0x10000 ? "\\u%04x"
                                                    : "\\U%08x";
  std::snprintf(out, sizeof(out), format, code_point);
  return out;
}

void append_repr(TextBuilder& out, const Text& text) {
  const std::string& bytes = text.bytes();
  const bool single = bytes.find('\'') == std::string::npos || bytes.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  if (text.is_markup()) out.append("Markup(", Origin::data);
  out.append({&quote, 1}, Origin::data);
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, at);
    std::string shown;
    if (c.code_point == '\n') {
      shown = "\\n";
    } else if (c.code_point == '\r') {
      shown = "\\r";
    } else if (c.code_point == '\t') {
      shown = "\\t";
    } else if (c.code_point == '\\' || c.code_point == static_cast<uint32_t>(quote)) {
      shown = {'\\', static_cast<char>(c.code_point)};
    } else if (!is_printable(c.code_point)) {
      shown = escaped(c.code_point);
    } else {
      shown = bytes.substr(at, c.length);
    }
    out.append(shown, Origin::data);
    at += c.length;
  }
  out.append({&quote, 1}, Origin::data);
  if (text.is_markup()) out.append(")", Origin::data);
}

/// Writes lists and dicts of any depth.
class Writer {
 public:
  explicit Writer(Runtime& runtime) : runtime_(runtime), out_(runtime.budget) {}

  void write(const Value& value) {
    const Budget::Nesting nesting(runtime_.budget);
    runtime_.budget.step();
    if (value.is_text()) return append_repr(out_, value.text());
    if (value.is_sequence()) return write_sequence(value.sequence());
    if (value.is_dict()) return write_dict(value.dict());
    if (value.is<Namespace*>()) return write_namespace(*value.get<Namespace*>());
    put(scalar(value));
  }
  Text take() { return out_.take(); }

 private:
  void put(std::string_view bytes) { out_.append(bytes, Origin::data); }

  static std::string scalar(const Value& value) {
    if (value.is_undefined()) return "Undefined";
    if (value.is_none()) return "None";
    if (value.is<bool>()) return value.get<bool>() ? "True" : "False";
    if (value.is<int64_t>()) return std::to_string(value.get<int64_t>());
    if (value.is<double>()) return float_repr(value.get<double>());
    if (value.is<const Macro*>()) {
      const std::string& name = value.get<const Macro*>()->name();
      return name.empty() ? "<Macro anonymous>" : "<Macro '" + name + "'>";
    }
    if (value.is<std::shared_ptr<LoopState>>()) {
      LoopState& loop = *value.get<std::shared_ptr<LoopState>>();
      const int64_t length = loop.attribute("length", value)->get<int64_t>();
      return detail::concat("<LoopContext ", loop.index0() + 1, "/", length, ">");
    }
    // Python prints an address, which no template can want.
    fail("printing a ", type_name(value), " is not supported");
  }

  void write_items(const Values& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) put(", ");
      write(items[i]);
    }
  }

  void write_sequence(const Sequence& sequence) {
    if (sequence.kind == SequenceKind::range) return put(sequence.range_repr);
    const bool tuple = sequence.kind == SequenceKind::tuple;
    const bool view = !tuple && sequence.kind != SequenceKind::list;
    if (view) {
      put(sequence.kind == SequenceKind::dict_keys     ? "dict_keys("
          : sequence.kind == SequenceKind::dict_values ? "dict_values("
                                                       : "dict_items(");
    }
    put(tuple ? "(" : "[");
    write_items(sequence.items);
    if (tuple && sequence.items.size() == 1) put(",");
    put(tuple ? ")" : "]");
    if (view) put(")");
  }

  void write_dict(const Dict& dict) {
    put("{");
    bool first = true;
    for (const Dict::Item& item : dict.items()) {
      if (!first) put(", ");
      first = false;
      write(item.key);
      put(": ");
      write(item.value);
    }
    put("}");
  }

  void write_namespace(const Namespace& space) {
    put("<Namespace {");
    bool first = true;
    for (const std::string& name : space.order) {
      if (!first) put(", ");
      first = false;
      append_repr(out_, Text(name, Origin::data));
      put(": ");
      write(space.attributes.find(name)->second);
    }
    put("}>");
  }

  Runtime& runtime_;
  TextBuilder out_;
};

}  // namespace

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), std::abs(number),
                                 std::chars_format::scientific)
                       .ptr;
  const std::string text(buffer, end);
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  std::string digits = text.substr(0, 1) + (e > 2 ? text.substr(2, e - 2) : "");
  const std::string sign = std::signbit(number) ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (count > 1) digits.insert(1, ".");
    const std::string size = std::to_string(std::abs(exponent));
    return sign + digits + "e" + (exponent < 0 ? "-" : "+") + (size.size() < 2 ? "0" : "") + size;
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  return sign + digits.insert(static_cast<size_t>(exponent + 1), ".");
}

Text repr(Runtime& runtime, const Value& value) {
  Writer writer(runtime);
  writer.write(value);
  return writer.take();
}

Text to_text(Runtime& runtime, const Value& value) {
  if (value.is_text()) {
    Text text = value.text();
    text.set_markup(false);
    return text;
  }
  if (value.is_undefined()) return {};
  const bool scalar = value.is_none() || value.is_number();
  Text text = repr(runtime, value);
  return scalar ? Text(text.bytes(), Origin::written) : text;
}

}  // namespace longgen::jinja
