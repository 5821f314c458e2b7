// chat/jinja/python.h: what Python does with values of any type: truth, str(), repr(), comparison,
// iteration.
#pragma once

#include <compare>
#include <memory>
#include <string>

#include "longgen/chat/jinja/runtime.h"

namespace longgen::jinja {

bool truth(const Value& value);

/// str(value). What data is made of stays data; numbers, None and the like count as written by the
/// template, because none of them can spell a token.
Text to_text(Runtime& runtime, const Value& value);
/// repr(value).
Text repr(Runtime& runtime, const Value& value);
/// The shortest digits that give the number back, as Python prints them: 1e+16, 0.1, nan.
std::string float_repr(double number);

bool equal(Budget& budget, const Value& a, const Value& b);
/// Throws Failure on types without an order; NaN is unordered.
std::partial_ordering order(Budget& budget, const Value& a, const Value& b, const char* operation);
/// a < b, to sort by; throws Failure on NaN, which has no place among numbers.
bool sorts_before(Budget& budget, const Value& a, const Value& b);
/// a < b, and the like, with "<", "<=", ">" or ">=".
bool ordered(Budget& budget, const Value& a, const char* operation, const Value& b);
/// needle in haystack.
bool contains(Runtime& runtime, const Value& needle, const Value& haystack);

/// What a for loop goes through: one of the two is set.
struct ItemSource {
  std::shared_ptr<const Values> items;
  std::shared_ptr<Iterator> iterator;
};
/// Throws Failure on what is not iterable.
ItemSource items_of(Runtime& runtime, const Value& value);
/// Whether items_of() would give something.
bool is_iterable(const Value& value);
/// list(value).
Values collect(Runtime& runtime, const Value& value);
/// Items one after the other, as iter() gives them.
Iterator::Next iterate(Runtime& runtime, const Value& value);
/// len(value); throws Failure on what has none.
int64_t length(const Value& value);

/// An int, also of a bool. Throws Failure naming `what` on anything else.
int64_t to_int(const Value& value, const char* what);
/// Throws Failure naming `what` when it is no string.
const Text& require_text(const Value& value, const char* what);
double to_double(const Value& value);

}  // namespace longgen::jinja
