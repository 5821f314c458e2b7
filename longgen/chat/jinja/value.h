// chat/jinja/value.h: what a template computes with. Values behave as Python's do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "longgen/chat/jinja/budget.h"
#include "longgen/chat/jinja/text.h"

namespace longgen::jinja {

class Value;
using Values = std::vector<Value>;

/// The arguments of a call.
struct CallArguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// A name, attribute or item that is not there. It may be printed, iterated and tested.
struct Undefined {
  std::shared_ptr<const std::string> message;  ///< what any other use of it fails with
};
struct None {};

struct Sequence;
class Dict;
class Iterator;
struct Namespace;
class LoopState;
struct Callable;
struct Macro;

/// Values share what they hold and never change it; only a Namespace changes. Namespaces and macros
/// belong to the evaluator, so that no circle of values keeps itself alive.
class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                               std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
                               std::shared_ptr<Iterator>, Namespace*, std::shared_ptr<LoopState>,
                               std::shared_ptr<const Callable>, const Macro*>;

  Value() : storage_(None{}) {}
  explicit Value(Storage storage) : storage_(std::move(storage)) {}
  Value(bool value) : storage_(value) {}     // NOLINT: a Python bool
  Value(int64_t value) : storage_(value) {}  // NOLINT: a Python int
  Value(double value) : storage_(value) {}   // NOLINT: a Python float
  Value(const char*) = delete;
  static Value undefined(std::string message);

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  template <typename T>
  const T& get() const {
    return std::get<T>(storage_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_text() const { return is<std::shared_ptr<const Text>>(); }
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }
  bool is_sequence() const { return is<std::shared_ptr<const Sequence>>(); }
  /// A bool, an int or a float.
  bool is_number() const { return is<bool>() || is<int64_t>() || is<double>(); }
  const Text& text() const { return *get<std::shared_ptr<const Text>>(); }
  const std::string& bytes() const { return text().bytes(); }
  const Dict& dict() const { return *get<std::shared_ptr<const Dict>>(); }
  const Sequence& sequence() const { return *get<std::shared_ptr<const Sequence>>(); }

  const Storage& storage() const { return storage_; }

  /// How deep lists, dicts and iterators stand in each other here; 0 for anything else.
  int64_t depth() const;
  /// Whether both are the same object, as Python's `is` asks.
  bool same_as(const Value& other) const;

 private:
  Storage storage_;
};

enum class SequenceKind { list, tuple, range, dict_keys, dict_values, dict_items };

/// Anything with a length and an order that is no string.
struct Sequence {
  SequenceKind kind = SequenceKind::list;
  Values items;
  int64_t depth = 1;
  std::string range_repr = {};  ///< of a range: how Python prints it
  bool is_group = false;        ///< a tuple of groupby, with the attributes grouper and list
};

/// Keys in the order in which they came. Keys are strings, numbers, None and tuples of these; what
/// has no value of its own, such as a macro, is a key as the object that it is.
class Dict {
 public:
  struct Item {
    Value key, value;
  };
  const std::vector<Item>& items() const { return items_; }
  /// nullptr when there is none. Throws as canonical_key() does.
  const Value* find(Budget& budget, const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Budget& budget, const Value& key, Value value);
  /// The same for a key that is a string.
  void set_text(const Value& key, Value value);
  int64_t depth() const { return depth_; }

 private:
  void insert(std::string canonical, const Value& key, Value value);

  std::vector<Item> items_;
  std::unordered_map<std::string, size_t> index_;  // by canonical_key()
  int64_t depth_ = 1;
};

/// What Python cannot hash was used as a key.
class Unhashable : public Failure {
 public:
  using Failure::Failure;
};

/// What a key is looked up by: equal for equal keys. Throws Unhashable on lists, dicts and what
/// holds them, and Failure on functions, which are not supported as keys.
std::string canonical_key(Budget& budget, const Value& key);

/// Gives one item after the other, once: what Python's generators are.
class Iterator {
 public:
  using Next = std::function<std::optional<Value>()>;
  Iterator(Next next, int64_t depth) : next_(std::move(next)), depth_(depth) {}
  /// nullopt at the end. Throws Failure when it is asked while it works out an item.
  std::optional<Value> next();
  int64_t depth() const { return depth_; }

 private:
  Next next_;
  int64_t depth_;
  bool running_ = false;
};

/// namespace(): the one thing that a template can change.
struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
  std::vector<std::string> order;  ///< in which they came
  void set(const std::string& name, Value value);
};

class Runtime;

/// A function, or a method together with what it is called on.
struct Callable {
  std::string name;
  std::function<Value(Runtime&, CallArguments)> call;
  int64_t depth = 0;  ///< of the value that a method holds
};

/// Python's name of the type, for messages.
const char* type_name(const Value& value);

}  // namespace longgen::jinja
