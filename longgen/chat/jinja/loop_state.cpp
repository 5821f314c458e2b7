#include "longgen/chat/jinja/loop_state.h"

namespace longgen::jinja {

bool LoopState::has_next() {
  if (items_) return index_ + 1 < static_cast<int64_t>(items_->size());
  if (!ahead_.empty()) return true;
  std::optional<Value> next = iterator_->next();
  if (!next) return false;
  ahead_.push_back(std::move(*next));
  return true;
}

Value LoopState::next_item() {
  return items_ ? (*items_)[static_cast<size_t>(index_ + 1)] : ahead_.front();
}

bool LoopState::advance() {
  if (!has_next()) return false;
  previous_ = std::move(current_);
  current_ = next_item();
  if (!items_) ahead_.pop_front();
  ++index_;
  return true;
}

int64_t LoopState::length() {
  if (items_) return static_cast<int64_t>(items_->size());
  while (std::optional<Value> next = iterator_->next()) ahead_.push_back(std::move(*next));
  return index_ + 1 + static_cast<int64_t>(ahead_.size());
}

Value LoopState::cycle(const Values& values) const {
  if (values.empty()) fail("no items for cycling given");
  return values[static_cast<size_t>(index_) % values.size()];
}

std::optional<Value> LoopState::attribute(std::string_view name, const Value& self) {
  if (name == "index0") return Value(index_);
  if (name == "index") return Value(index_ + 1);
  if (name == "length") return Value(length());
  if (name == "revindex") return Value(length() - index_);
  if (name == "revindex0") return Value(length() - index_ - 1);
  if (name == "first") return Value(index_ == 0);
  if (name == "last") return Value(!has_next());
  // They count the calls of recursive loops, of which there are none.
  if (name == "depth0") return Value(int64_t{0});
  if (name == "depth") return Value(int64_t{1});
  if (name == "previtem") {
    return index_ == 0 ? Value::undefined("there is no previous item") : previous_;
  }
  if (name == "nextitem") {
    return has_next() ? next_item() : Value::undefined("there is no next item");
  }
  if (name == "changed") fail("loop.changed() is not supported");
  if (name != "cycle") return std::nullopt;
  const auto call = [self](Runtime&, CallArguments arguments) {
    if (!arguments.named.empty()) fail("cycle() takes no named arguments");
    return self.get<std::shared_ptr<LoopState>>()->cycle(arguments.positional);
  };
  return Value(
      Value::Storage(std::make_shared<const Callable>(Callable{"cycle", call, self.depth() + 1})));
}

}  // namespace longgen::jinja
