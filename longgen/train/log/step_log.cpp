#include "longgen/train/log/step_log.h"

namespace longgen {
namespace {

constexpr StepField kLoss = {"loss", "train/loss"}, kAlignLoss = {"align_loss", "train/align_loss"},
                    kEvalLosses = {"eval_losses", "eval/loss/NAME"};

/// Calls visit(field, value) for every number that the record has.
template <typename Visit>
void for_each_number(const StepRecord& record, Visit&& visit) {
  visit(record.aligns ? kAlignLoss : kLoss, record.loss);
  visit(StepField{"learning_rate", "train/learning_rate"}, record.learning_rate);
  visit(StepField{"grad_norm", "train/grad_norm"}, record.grad_norm);
  visit(StepField{"tokens", "train/tokens"}, record.tokens);
  visit(StepField{"tokens_per_s", "train/tokens_per_s"}, record.tokens_per_s);
  visit(StepField{"seconds", "train/seconds"}, record.seconds);
  visit(StepField{"memory_bytes", "train/memory_bytes"}, record.memory_bytes);
  if (record.distill_loss) {
    visit(StepField{"distill_loss", "train/distill_loss"}, *record.distill_loss);
  }
  if (record.eval_loss) visit(StepField{"eval_loss", "eval/loss"}, *record.eval_loss);
}

}  // namespace

std::vector<StepField> step_fields() {
  std::vector<StepField> fields = {kAlignLoss};
  for_each_number({.distill_loss = 0, .eval_loss = 0},
                  [&](StepField field, auto) { fields.push_back(field); });
  fields.push_back(kEvalLosses);
  return fields;
}

StepLog::StepLog(const fs::path& metrics, const std::optional<fs::path>& tensorboard,
                 int64_t resume_step)
    : metrics_(metrics, resume_step) {
  if (tensorboard) events_.emplace(*tensorboard, resume_step);
}

void StepLog::write(const StepRecord& record) {
  OrderedJson line = {{"step", record.step}};
  std::vector<Scalar> scalars;
  for_each_number(record, [&](StepField field, auto value) {
    line[std::string(field.name)] = value;
    scalars.push_back({std::string(field.tag), static_cast<double>(value)});
  });
  for (const SourceLoss& source : record.eval_losses) {
    line[std::string(kEvalLosses.name)][source.name] = source.loss;
    scalars.push_back({"eval/loss/" + source.name, source.loss});
  }
  metrics_.write(line);
  if (events_) events_->write(record.step, scalars);
}

}  // namespace longgen
