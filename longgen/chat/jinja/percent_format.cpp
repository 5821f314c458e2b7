#include "longgen/chat/jinja/percent_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

constexpr size_t kMaxWidth = 1000;

/// One %...: flags, width, precision and conversion.
struct Conversion {
  std::string key;
  bool has_key = false, left = false, zero = false, plus = false, blank = false, alternate = false;
  size_t width = 0;
  int precision = -1;
  char type = 's';
};

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Text& format, const Value& values)
      : runtime_(runtime), format_(format), values_(values), out_(runtime.budget) {}

  Text run() {
    const std::string& bytes = format_.bytes();
    size_t done = 0;
    while (true) {
      const size_t percent = bytes.find('%', done);
      if (percent == std::string::npos) break;
      out_.append(format_, done, percent);
      at_ = percent + 1;
      convert(read(), percent);
      done = at_;
    }
    out_.append(format_, done, bytes.size());
    check_used();
    return out_.take();
  }

 private:
  bool is_tuple() const {
    return values_.is_sequence() && values_.sequence().kind == SequenceKind::tuple;
  }

  char peek() const {
    if (at_ >= format_.size()) fail("incomplete format");
    return format_.bytes()[at_];
  }

  size_t read_count() {
    if (peek() == '*') fail("widths given as * are not supported");
    size_t count = 0;
    while (peek() >= '0' && peek() <= '9') {
      count = count * 10 + static_cast<size_t>(format_.bytes()[at_++] - '0');
      if (count > kMaxWidth) fail("expected a width of at most ", kMaxWidth, " in a format");
    }
    return count;
  }

  Conversion read() {
    Conversion c;
    if (peek() == '(') {
      const size_t close = format_.bytes().find(')', at_);
      if (close == std::string::npos) fail("incomplete format key");
      c.key = format_.bytes().substr(at_ + 1, close - at_ - 1);
      c.has_key = true;
      at_ = close + 1;
    }
    for (; std::string_view("-0+ #").find(peek()) != std::string_view::npos; ++at_) {
      c.left |= peek() == '-';
      c.zero |= peek() == '0';
      c.plus |= peek() == '+';
      c.blank |= peek() == ' ';
      c.alternate |= peek() == '#';
    }
    c.width = read_count();
    if (peek() == '.') {
      ++at_;
      c.precision = static_cast<int>(read_count());
    }
    c.type = peek();
    ++at_;
    return c;
  }

  Value next_value(const Conversion& c) {
    if (c.has_key) {
      if (!values_.is_dict()) fail("format requires a mapping");
      const Value* const found = values_.dict().find(std::string_view(c.key));
      if (found == nullptr) fail("the format names the key '", c.key, "', which is not there");
      used_ = 1;
      return *found;
    }
    const size_t index = used_++;
    const size_t count = is_tuple() ? values_.sequence().items.size() : 1;
    if (index >= count) fail("not enough arguments for format string");
    return is_tuple() ? values_.sequence().items[index] : values_;
  }

  void check_used() const {
    if (is_tuple() ? used_ < values_.sequence().items.size()
                   : used_ == 0 && !values_.is_dict() && !(values_.is_sequence())) {
      fail("not all arguments converted during string formatting");
    }
  }

  void pad(const Conversion& c, const Text& text, bool numeric) {
    const size_t size = count_utf8(text.bytes());
    const size_t missing = c.width > size ? c.width - size : 0;
    const bool zeros = numeric && c.zero && !c.left;
    const size_t sign = zeros && !text.empty() &&
                        std::string_view("+- ").find(text.bytes()[0]) != std::string_view::npos;
    out_.append(text, 0, sign);
    if (!c.left) out_.append(std::string(missing, zeros ? '0' : ' '), Origin::data);
    out_.append(text, sign, text.size());
    if (c.left) out_.append(std::string(missing, ' '), Origin::data);
  }

  void convert(const Conversion& c, size_t percent) {
    if (c.type == '%') return out_.append(format_, percent, percent + 1);
    if (c.alternate) fail("the flag # in a format is not supported");
    const Value value = next_value(c);
    if (c.type == 's' || c.type == 'r') {
      Text text = c.type == 's' ? to_text(runtime_, value) : repr(runtime_, value);
      if (c.precision >= 0) text = shortened(text, static_cast<size_t>(c.precision));
      return pad(c, text, false);
    }
    if (c.type == 'c') fail("the format %c is not supported");
    const std::string digits = number(c, value);
    const bool negative = digits.starts_with('-');
    const std::string sign = negative ? "" : c.plus ? "+" : c.blank ? " " : "";
    pad(c, Text(sign + digits, Origin::written), true);
  }

  static Text shortened(const Text& text, size_t characters) {
    size_t end = 0;
    for (size_t i = 0; i < characters && end < text.size(); ++i) {
      end += decode_valid_utf8(text.bytes().data() + end).length;
    }
    return text.slice(0, end);
  }

  std::string number(const Conversion& c, const Value& value) {
    if (!value.is_number()) {
      if (value.is_undefined()) fail(*value.get<Undefined>().message);
      fail("%", c.type, " format: a number is required, not ", type_name(value));
    }
    const std::string_view integers = "diuxXo", floats = "eEfFgG";
    char buffer[1500];
    if (floats.find(c.type) != std::string_view::npos) {
      const char format[] = {'%', '.', '*', c.type, '\0'};
      std::snprintf(buffer, sizeof(buffer), format, c.precision < 0 ? 6 : c.precision,  // NOLINT
                    to_double(value));
      return buffer;
    }
    if (integers.find(c.type) == std::string_view::npos) {
      fail("unsupported format character '", c.type, "'");
    }
    const bool decimal = c.type == 'd' || c.type == 'i' || c.type == 'u';
    if (value.is<double>() && !decimal) {
      fail("%", c.type, " format: an integer is required, not float");
    }
    const double as_double = value.is<double>() ? std::trunc(value.get<double>()) : 0;
    if (!(std::abs(as_double) < 9e18)) fail("the number in a format is no integer of 64 bits");
    const int64_t whole =
        value.is<double>() ? static_cast<int64_t>(as_double) : to_int(value, "format");
    const int base = decimal ? 10 : c.type == 'o' ? 8 : 16;
    const uint64_t size =
        whole < 0 ? uint64_t{0} - static_cast<uint64_t>(whole) : static_cast<uint64_t>(whole);
    std::string digits(buffer, std::to_chars(buffer, buffer + sizeof(buffer), size, base).ptr);
    if (c.type == 'X') {
      std::transform(digits.begin(), digits.end(), digits.begin(),
                     [](unsigned char x) { return static_cast<char>(std::toupper(x)); });
    }
    const size_t wanted = c.precision < 0 ? 0 : static_cast<size_t>(c.precision);
    if (digits.size() < wanted) digits.insert(0, wanted - digits.size(), '0');
    return (whole < 0 ? "-" : "") + digits;
  }

  Runtime& runtime_;
  const Text& format_;
  const Value& values_;
  TextBuilder out_;
  size_t at_ = 0, used_ = 0;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Text& format, const CallArguments& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments), out_(runtime.budget) {}

  Text run() {
    const std::string& bytes = format_.bytes();
    size_t done = 0;
    for (size_t at = bytes.find_first_of("{}"); at != std::string::npos;
         at = bytes.find_first_of("{}", done)) {
      out_.append(format_, done, at);
      const bool doubled = at + 1 < bytes.size() && bytes[at + 1] == bytes[at];
      if (doubled) {
        out_.append(format_, at, at + 1);
        done = at + 2;
        continue;
      }
      if (bytes[at] == '}') fail("single '}' encountered in format string");
      const size_t close = bytes.find('}', at);
      if (close == std::string::npos) fail("expected '}' before end of string");
      write_field(bytes.substr(at + 1, close - at - 1));
      done = close + 1;
    }
    out_.append(format_, done, bytes.size());
    return out_.take();
  }

 private:
  void write_field(std::string field) {
    if (field.find_first_of(":{") != std::string::npos) {
      fail("format specifications are not supported: {", field, "}");
    }
    const size_t mark = field.find('!');
    const std::string conversion = mark == std::string::npos ? "s" : field.substr(mark + 1);
    if (conversion != "s" && conversion != "r") {
      fail("the conversion !", conversion, " of a format is not supported");
    }
    const Value value = look_up(field.substr(0, mark));
    // Without a conversion None, lists and dicts are printed as str() does.
    out_.append(conversion == "r" ? repr(runtime_, value) : to_text(runtime_, value));
  }

  Value look_up(const std::string& path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, at));
    while (at < path.size()) {
      const bool item = path[at] == '[';
      const size_t end = item ? path.find(']', at) : path.find_first_of(".[", at + 1);
      if (item && end == std::string::npos) fail("missing ']' in format string");
      const size_t stop = std::min(end, path.size());
      const std::string name = path.substr(at + 1, stop - at - 1);
      if (name.empty()) fail("empty attribute in format string");
      value = item ? get_item(runtime_, value, key(name)) : get_attribute(runtime_, value, name);
      at = stop + (item ? 1 : 0);
    }
    return value;
  }

  Value key(const std::string& name) {
    int64_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool whole =
        read.ec == std::errc() && read.ptr == name.data() + name.size() && index >= 0;
    return whole ? Value(index) : runtime_.text(name, Origin::data);
  }

  Value first(const std::string& name) {
    const Value position = name.empty() ? Value(static_cast<int64_t>(next_++)) : key(name);
    if (position.is<int64_t>()) {
      const auto index = static_cast<size_t>(position.get<int64_t>());
      if (index >= arguments_.positional.size()) fail("format() has no argument ", index);
      return arguments_.positional[index];
    }
    for (const auto& [other, value] : arguments_.named) {
      if (other == name) return value;
    }
    fail("format() has no argument '", name, "'");
  }

  Runtime& runtime_;
  const Text& format_;
  const CallArguments& arguments_;
  TextBuilder out_;
  size_t next_ = 0;
};

}  // namespace

Text percent_format(Runtime& runtime, const Text& format, const Value& values) {
  return PercentFormatter(runtime, format, values).run();
}

Text brace_format(Runtime& runtime, const Text& format, const CallArguments& arguments) {
  return BraceFormatter(runtime, format, arguments).run();
}

}  // namespace longgen::jinja
