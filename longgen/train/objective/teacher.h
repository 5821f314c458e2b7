// train/objective/teacher.h: the model that is learnt from in distillation.
#pragma once

#include "longgen/model/decoder.h"
#include "longgen/ops/linear_distillation.h"
#include "longgen/train/micro_batch.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// Looks at the batches of the student without gradients.
class Teacher {
 public:
  /// The student's weights, whatever they have become, in a model in which every layer is full but
  /// for windows of the family's own; all other layers turn by the full ones' RoPE. Throws Error
  /// where the student is such a model already.
  static Teacher of(const Decoder& student);
  explicit Teacher(Decoder decoder) : decoder_(std::move(decoder)) {}

  const ModelConfig& config() const { return decoder_.config(); }
  /// Gives what it makes of a batch, on its device.
  DistillationTeacher look_at(const MicroBatch& batch, const OnLayer& on_layer = {}) const;

 private:
  Decoder decoder_;
};

/// Throws Error, naming train.teacher and what differs, where the recipe's teacher cannot teach a
/// model of this config: another tokenizer or vocabulary, or a context that is shorter than the
/// samples; "self" where nothing is sparse. Reads no weights.
void check_teacher(const Recipe& recipe, const ModelConfig& student);

/// Opens the teacher that the recipe names, in the student's type and on its device.
Teacher open_teacher(const Recipe& recipe, const Decoder& student);

}  // namespace longgen
