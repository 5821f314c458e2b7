#include "longgen/chat/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "longgen/chat/jinja/loop_state.h"

namespace longgen::jinja {
namespace {

/// Equal numbers are one key, whatever their type.
std::string number_key(double number) {
  if (std::floor(number) == number && std::abs(number) < 9e18) {
    return "i" + std::to_string(static_cast<int64_t>(number));
  }
  char digits[32];
  return "f" + std::string(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
}

/// Of what is a key as the object that it is; the dict that it is a key of keeps it alive.
std::string object_key(const Value& key) {
  const void* const address = std::visit(
      [](const auto& held) -> const void* {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_pointer_v<T>) {
          return held;
        } else if constexpr (requires { held.get(); }) {
          return held.get();
        } else {
          return nullptr;
        }
      },
      key.storage());
  return detail::concat("o", address);
}

[[noreturn]] void fail_unhashable(const Value& key) {
  throw Unhashable(detail::concat("unhashable type: '", type_name(key), "'"));
}

/// Of tuples and ranges, which are equal where their items are, and of the values of a dict.
std::string sequence_key(Budget& budget, const Value& key) {
  const SequenceKind kind = key.sequence().kind;
  if (kind == SequenceKind::dict_values) return object_key(key);
  if (kind != SequenceKind::tuple && kind != SequenceKind::range) fail_unhashable(key);
  std::string joined = kind == SequenceKind::tuple ? "t" : "r";
  for (const Value& item : key.sequence().items) {
    const std::string part = canonical_key(budget, item);
    budget.step(part.size());
    budget.check_text(joined.size() + part.size());
    joined += std::to_string(part.size()) + ":" + part;
  }
  return joined;
}

}  // namespace

Value Value::undefined(std::string message) {
  return Value(Storage(Undefined{std::make_shared<const std::string>(std::move(message))}));
}

int64_t Value::depth() const {
  if (is_sequence()) return sequence().depth;
  if (is_dict()) return dict().depth();
  if (const auto* iterator = std::get_if<std::shared_ptr<Iterator>>(&storage_)) {
    return (*iterator)->depth();
  }
  if (const auto* loop = std::get_if<std::shared_ptr<LoopState>>(&storage_)) {
    return (*loop)->depth();
  }
  if (const auto* callable = std::get_if<std::shared_ptr<const Callable>>(&storage_)) {
    return (*callable)->depth;
  }
  return 0;
}

bool Value::same_as(const Value& other) const {
  if (storage_.index() != other.storage_.index()) return false;
  return std::visit(
      [&other](const auto& mine) {
        using T = std::decay_t<decltype(mine)>;
        if constexpr (std::is_same_v<T, None>) {
          return true;
        } else if constexpr (std::is_same_v<T, Undefined>) {
          return mine.message == other.get<Undefined>().message;
        } else {
          return mine == other.get<T>();
        }
      },
      storage_);
}

std::string canonical_key(Budget& budget, const Value& key) {
  const Budget::Nesting nesting(budget);
  budget.step(key.is_text() ? key.text().size() : 0);
  if (key.is_text()) return "s" + key.bytes();
  if (key.is_none()) return "n";
  if (key.is<bool>()) return key.get<bool>() ? "i1" : "i0";
  if (key.is<int64_t>()) return "i" + std::to_string(key.get<int64_t>());
  if (key.is<double>()) return number_key(key.get<double>());
  if (key.is_undefined()) return "u";
  if (key.is_dict()) fail_unhashable(key);
  if (key.is_sequence()) return sequence_key(budget, key);
  if (key.is<std::shared_ptr<const Callable>>()) {
    fail("a function as the key of a dict is not supported");
  }
  return object_key(key);
}

const Value* Dict::find(Budget& budget, const Value& key) const {
  const auto it = index_.find(canonical_key(budget, key));
  return it == index_.end() ? nullptr : &items_[it->second].value;
}

const Value* Dict::find(std::string_view key) const {
  std::string canonical = "s";
  const auto it = index_.find(canonical.append(key));
  return it == index_.end() ? nullptr : &items_[it->second].value;
}

void Dict::set(Budget& budget, const Value& key, Value value) {
  insert(canonical_key(budget, key), key, std::move(value));
}

void Dict::set_text(const Value& key, Value value) {
  insert("s" + key.bytes(), key, std::move(value));
}

void Dict::insert(std::string canonical, const Value& key, Value value) {
  depth_ = std::max({depth_, key.depth() + 1, value.depth() + 1});
  const auto [it, is_new] = index_.try_emplace(std::move(canonical), items_.size());
  if (is_new) {
    items_.push_back({key, std::move(value)});
  } else {
    items_[it->second].value = std::move(value);
  }
}

std::optional<Value> Iterator::next() {
  if (running_) fail("generator already executing");
  running_ = true;
  std::optional<Value> item = next_();
  running_ = false;
  return item;
}

void Namespace::set(const std::string& name, Value value) {
  if (!attributes.contains(name)) order.push_back(name);
  attributes[name] = std::move(value);
}

const char* type_name(const Value& value) {
  static constexpr const char* kSequences[] = {"list",      "tuple",       "range",
                                               "dict_keys", "dict_values", "dict_items"};
  if (value.is_sequence()) return kSequences[static_cast<size_t>(value.sequence().kind)];
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is<bool>()) return "bool";
  if (value.is<int64_t>()) return "int";
  if (value.is<double>()) return "float";
  if (value.is_text()) return "str";
  if (value.is_dict()) return "dict";
  if (value.is<Namespace*>()) return "Namespace";
  if (value.is<std::shared_ptr<LoopState>>()) return "LoopContext";
  if (value.is<const Macro*>()) return "Macro";
  return value.is<std::shared_ptr<Iterator>>() ? "generator" : "function";
}

}  // namespace longgen::jinja
