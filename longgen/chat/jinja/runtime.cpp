#include "longgen/chat/jinja/runtime.h"

#include <algorithm>

namespace longgen::jinja {

Value Runtime::text(Text text) {
  budget.check_text(text.size());
  budget.take(sizeof(Text) + text.size() + text.written().size() * sizeof(ByteRange));
  return Value(Value::Storage(std::make_shared<const Text>(std::move(text))));
}

Value Runtime::text_like(const Text& source, Text made) {
  made.set_markup(source.is_markup());
  return text(std::move(made));
}

Value Runtime::sequence(Values items, SequenceKind kind) {
  budget.check_items(items.size());
  budget.take(sizeof(Sequence) + items.size() * sizeof(Value));
  int64_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  budget.check_value_depth(depth + 1);
  return Value(Value::Storage(
      std::make_shared<const Sequence>(Sequence{kind, std::move(items), depth + 1})));
}

Value Runtime::dict(Dict dict) {
  budget.check_items(dict.items().size());
  budget.take(sizeof(Dict) + dict.items().size() * (sizeof(Dict::Item) + 64));
  budget.check_value_depth(dict.depth());
  return Value(Value::Storage(std::make_shared<const Dict>(std::move(dict))));
}

Value Runtime::iterator(Iterator::Next next, int64_t depth_of_sources) {
  budget.take(sizeof(Iterator) + 128);
  budget.check_value_depth(depth_of_sources + 1);
  return Value(Value::Storage(std::make_shared<Iterator>(std::move(next), depth_of_sources + 1)));
}

Value Runtime::method(std::string name, const Value& self,
                      std::function<Value(Runtime&, CallArguments)> call) {
  budget.take(sizeof(Callable) + 64);
  budget.check_value_depth(self.depth() + 1);
  return Value(Value::Storage(std::make_shared<const Callable>(
      Callable{std::move(name), std::move(call), self.depth() + 1})));
}

}  // namespace longgen::jinja
