// chat/jinja/runtime.h: what functions, filters and tests may ask of the evaluator, and values made
// within its limits.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "longgen/chat/jinja/value.h"

namespace longgen::jinja {

class Runtime {
 public:
  explicit Runtime(const Limits& limits) : budget(limits) {}
  virtual ~Runtime() = default;

  Budget budget;

  virtual Value call(const Value& callee, CallArguments arguments) = 0;
  virtual Value make_namespace() = 0;
  /// The local time that strftime_now() tells.
  virtual std::tm now() const = 0;

  /// Each counts what it makes against the limits.
  Value text(Text text);
  Value text(std::string_view bytes, Origin origin) {
    return text(Text(std::string(bytes), origin));
  }
  /// A text that was made of another, and is markup where that is.
  Value text_like(const Text& source, Text made);
  Value sequence(Values items, SequenceKind kind = SequenceKind::list);
  Value dict(Dict dict);
  Value iterator(Iterator::Next next, int64_t depth_of_sources);
  /// A method of `self`, or a function when that is None.
  Value method(std::string name, const Value& self,
               std::function<Value(Runtime&, CallArguments)> call);
};

/// A text that grows, checked against the limits before it does.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(budget) {}

  void append(std::string_view bytes, Origin origin) {
    check(bytes.size());
    text_.append(bytes, origin);
  }
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t end) {
    check(end - begin);
    text_.append(text, begin, end);
  }
  const Text& text() const { return text_; }
  Text take() { return std::move(text_); }

 private:
  void check(size_t more) const {
    budget_.check_text(text_.size() + more);
    budget_.check_text(text_.written().size() * sizeof(ByteRange));
  }

  Budget& budget_;
  Text text_;
};

}  // namespace longgen::jinja
