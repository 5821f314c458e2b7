#include "longgen/chat/jinja/python.h"

#include <algorithm>

#include "longgen/chat/jinja/loop_state.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

/// Numbers of two types, without losing the digits of a large int.
std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (!a.is<double>() && !b.is<double>()) return to_int(a, "int") <=> to_int(b, "int");
  return to_double(a) <=> to_double(b);
}

bool equal_items(Budget& budget, const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].same_as(b[i]) && !equal(budget, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
  if (a.items().size() != b.items().size()) return false;
  for (const Dict::Item& item : a.items()) {
    const Value* const other = b.find(budget, item.key);
    if (other == nullptr) return false;
    if (!item.value.same_as(*other) && !equal(budget, item.value, *other)) return false;
  }
  return true;
}

std::shared_ptr<const Values> share(Values values) {
  return std::make_shared<const Values>(std::move(values));
}

Values characters(Runtime& runtime, const Text& text) {
  Values items;
  for (size_t at = 0; at < text.size();) {
    const size_t length = decode_utf8(text.bytes(), at).length;
    runtime.budget.check_items(items.size() + 1);
    items.push_back(runtime.text(text.slice(at, at + length)));
    at += length;
  }
  return items;
}

}  // namespace

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is<bool>()) return value.get<bool>();
  if (value.is<int64_t>()) return value.get<int64_t>() != 0;
  if (value.is<double>()) return value.get<double>() != 0;
  if (value.is_text()) return !value.text().empty();
  if (value.is_sequence()) return !value.sequence().items.empty();
  if (value.is_dict()) return !value.dict().items().empty();
  return true;
}

bool equal(Budget& budget, const Value& a, const Value& b) {
  const Budget::Nesting nesting(budget);
  budget.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.is_text() && b.is_text()) {
    budget.step(std::min(a.text().size(), b.text().size()));
    return a.bytes() == b.bytes();
  }
  if (a.is_sequence() && b.is_sequence()) {
    const Sequence &x = a.sequence(), &y = b.sequence();
    const bool comparable = x.kind == y.kind && x.kind != SequenceKind::dict_values;
    return comparable && equal_items(budget, x.items, y.items);
  }
  if (a.is_dict() && b.is_dict()) return equal_dicts(budget, a.dict(), b.dict());
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  return a.same_as(b);
}

std::partial_ordering order(Budget& budget, const Value& a, const Value& b, const char* operation) {
  const Budget::Nesting nesting(budget);
  budget.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.is_text() && b.is_text()) {
    budget.step(std::min(a.text().size(), b.text().size()));
    return a.bytes() <=> b.bytes();
  }
  const bool lists =
      a.is_sequence() && b.is_sequence() && a.sequence().kind == b.sequence().kind &&
      (a.sequence().kind == SequenceKind::list || a.sequence().kind == SequenceKind::tuple);
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) fail(*side->get<Undefined>().message);
  }
  if (!lists) {
    fail("'", operation, "' not supported between instances of '", type_name(a), "' and '",
         type_name(b), "'");
  }
  const Values &x = a.sequence().items, &y = b.sequence().items;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const bool same = x[i].same_as(y[i]) || equal(budget, x[i], y[i]);
    if (!same) return order(budget, x[i], y[i], operation);
  }
  return x.size() <=> y.size();
}

bool sorts_before(Budget& budget, const Value& a, const Value& b) {
  const std::partial_ordering sign = order(budget, a, b, "<");
  if (sign == std::partial_ordering::unordered) fail("sorting NaN is not supported");
  return sign < 0;
}

bool ordered(Budget& budget, const Value& a, const char* operation, const Value& b) {
  const std::partial_ordering sign = order(budget, a, b, operation);
  if (sign == 0) return operation[1] == '=';
  return operation[0] == '<' ? sign < 0 : sign > 0;
}

bool contains(Runtime& runtime, const Value& needle, const Value& haystack) {
  if (haystack.is_text()) {
    if (!needle.is_text()) {
      fail("'in <string>' requires string as left operand, not ", type_name(needle));
    }
    runtime.budget.step(haystack.text().size());
    return haystack.bytes().find(needle.bytes()) != std::string::npos;
  }
  if (haystack.is_dict()) return haystack.dict().find(runtime.budget, needle) != nullptr;
  const Iterator::Next next = iterate(runtime, haystack);
  while (const std::optional<Value> item = next()) {
    if (item->same_as(needle) || equal(runtime.budget, *item, needle)) return true;
  }
  return false;
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_text() || value.is_sequence() || value.is_dict() ||
         value.is<std::shared_ptr<Iterator>>() || value.is<std::shared_ptr<LoopState>>();
}

ItemSource items_of(Runtime& runtime, const Value& value) {
  runtime.budget.step();
  if (value.is_sequence()) {
    const auto& shared = value.get<std::shared_ptr<const Sequence>>();
    return {{shared, &shared->items}, nullptr};
  }
  if (value.is_undefined()) return {share({}), nullptr};
  if (value.is_text()) return {share(characters(runtime, value.text())), nullptr};
  if (value.is_dict()) {
    Values keys;
    for (const Dict::Item& item : value.dict().items()) keys.push_back(item.key);
    runtime.budget.take(keys.size() * sizeof(Value));
    return {share(std::move(keys)), nullptr};
  }
  if (value.is<std::shared_ptr<Iterator>>())
    return {nullptr, value.get<std::shared_ptr<Iterator>>()};
  if (value.is<std::shared_ptr<LoopState>>()) fail("iterating over loop is not supported");
  fail("'", type_name(value), "' object is not iterable");
}

Iterator::Next iterate(Runtime& runtime, const Value& value) {
  const ItemSource source = items_of(runtime, value);
  Budget* const budget = &runtime.budget;
  if (source.iterator) {
    return [iterator = source.iterator, budget] {
      budget->step();
      const Budget::Nesting nesting(*budget);
      return iterator->next();
    };
  }
  return [items = source.items, at = size_t{0}, budget]() mutable -> std::optional<Value> {
    budget->step();
    if (at == items->size()) return std::nullopt;
    return (*items)[at++];
  };
}

Values collect(Runtime& runtime, const Value& value) {
  Values items;
  const Iterator::Next next = iterate(runtime, value);
  while (std::optional<Value> item = next()) {
    runtime.budget.check_items(items.size() + 1);
    items.push_back(std::move(*item));
  }
  return items;
}

int64_t length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<int64_t>(count_utf8(value.bytes()));
  if (value.is_sequence()) return static_cast<int64_t>(value.sequence().items.size());
  if (value.is_dict()) return static_cast<int64_t>(value.dict().items().size());
  fail("object of type '", type_name(value), "' has no len()");
}

int64_t to_int(const Value& value, const char* what) {
  if (value.is<int64_t>()) return value.get<int64_t>();
  if (value.is<bool>()) return value.get<bool>() ? 1 : 0;
  if (value.is_undefined()) fail(*value.get<Undefined>().message);
  fail(what, ": expected an integer, found '", type_name(value), "'");
}

const Text& require_text(const Value& value, const char* what) {
  if (value.is_undefined()) fail(*value.get<Undefined>().message);
  if (!value.is_text()) fail(what, ": expected a string, found '", type_name(value), "'");
  return value.text();
}

double to_double(const Value& value) {
  if (value.is<double>()) return value.get<double>();
  return static_cast<double>(to_int(value, "number"));
}

}  // namespace longgen::jinja
