// chat/jinja/text.h: a string that knows which of its bytes the template wrote.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/tokenizer/byte_range.h"

namespace longgen::jinja {

/// Where bytes come from. `written`: the template itself, or a special token that the tokenizer's
/// configuration names. `data`: what the template was given to render.
enum class Origin { data, written };

/// Valid UTF-8. Every operation keeps the origin of each byte, and two neighbouring stretches of
/// the template are one.
class Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// What the template wrote: ranges that ascend and do not touch.
  const std::vector<ByteRange>& written() const { return written_; }
  Origin origin_at(size_t byte) const;

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  /// Appends bytes [begin, end) of another text.
  void append(const Text& other, size_t begin, size_t end);
  Text slice(size_t begin, size_t end) const;

  /// What the filters escape and safe give, and what is cut out of that. Jinja escapes whatever is
  /// added to it, which nothing here does: such operations are refused.
  bool is_markup() const { return is_markup_; }
  void set_markup(bool is_markup = true) { is_markup_ = is_markup; }

 private:
  std::string bytes_;
  std::vector<ByteRange> written_;
  bool is_markup_ = false;
};

}  // namespace longgen::jinja
