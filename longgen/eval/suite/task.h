// eval/suite/task.h: a task of a suite: its items, made when they are asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/eval/suite/item.h"

namespace longgen {

/// Items are numbered from 0. An item is a function of the task and its number, whatever else was
/// asked before, so that all models get the same ones and a run that was stopped goes on.
struct SuiteTask {
  std::string name;           ///< letters, digits, - _ .; not a . first: "arc_easy"
  std::string group;          ///< tasks of one group and length have an average: "short"
  int64_t length_tokens = 0;  ///< of a long task; 0 for one whose items are as long as they are
  int64_t num_items = 0;
  /// Exactly one of the two makes the items.
  std::function<ChoiceItem(int64_t number)> choice = {};
  std::function<GenerationItem(int64_t number)> generation = {};
  /// The names of scores that reports show; the first is the task's in averages. Choices have "acc"
  /// (the most probable), "acc_norm" (the most probable a character) and, where there is only one,
  /// "acc" (written greedily) and "nll" (nats); replies have "score", and what the item adds.
  std::vector<std::string> scores;
  /// What the items depend on (hashes of files, a seed): finished items of other settings are not
  /// taken for these.
  OrderedJson settings = OrderedJson::object();

  /// Names the task and its length: "arc_easy", "niah_single_1-32K".
  std::string label() const;
};

/// The task with `samples` of its items, drawn by the seed and the task's name; the whole task
/// where it has no more, or with 0. Fewer samples are the first of more.
SuiteTask sampled(SuiteTask task, int64_t samples, uint64_t seed);

}  // namespace longgen
