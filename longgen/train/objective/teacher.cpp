#include "longgen/train/objective/teacher.h"

#include <ATen/core/grad_mode.h>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/model/model_directory.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/train/optimizer.h"

namespace longgen {
namespace {

ModelConfig full_config(ModelConfig config) {
  LG_CHECK(config.is_hybrid(),
           "expected a model with sparse layers, found none: its teacher with every layer full "
           "would be the model itself.");
  config.layers = config.layers.without_sparse();
  return config;
}

/// Calls action(), whose errors then name train.teacher.
template <typename Action>
auto named(const Recipe& recipe, const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    LG_FAIL(recipe.where("train.teacher"), ": ", error.what());
  }
}

void check_directory(const Recipe& recipe, const ModelConfig& student) {
  const std::string& path = recipe.train.teacher;
  const ModelConfig teacher = load_model_config(path);
  LG_CHECK(Tokenizer::load(path).hash() == Tokenizer::load(recipe.model.path).hash(), path,
           ": its tokenizer is not that of model.path, ", recipe.model.path,
           ". A teacher speaks of the same tokens.");
  LG_CHECK(teacher.vocab_size == student.vocab_size, path, ": expected a vocabulary of ",
           student.vocab_size, " tokens, that of model.path, found ", teacher.vocab_size, ".");
  LG_CHECK(teacher.context >= recipe.data.sequence_length, path,
           ": expected a context of at least ", format_count(recipe.data.sequence_length),
           " tokens, data.sequence_length, found ", format_count(teacher.context),
           ". Convert it first: longgen convert MODEL OUT --layers all --context N.");
}

}  // namespace

Teacher Teacher::of(const Decoder& student) {
  return Teacher(Decoder(full_config(student.config()), student.weights()));
}

DistillationTeacher Teacher::look_at(const MicroBatch& batch, const OnLayer& on_layer) const {
  const at::NoGradGuard no_grad;
  BatchContext context(batch.tokens_T.size(0), batch.doc_starts);
  return {decoder_.forward(batch.tokens_T, context, on_layer), decoder_.weights().head_VE};
}

void check_teacher(const Recipe& recipe, const ModelConfig& student) {
  if (!recipe.train.distils()) return;
  named(recipe, [&] {
    if (recipe.train.teacher_is_self()) {
      full_config(student);
    } else {
      check_directory(recipe, student);
    }
  });
}

Teacher open_teacher(const Recipe& recipe, const Decoder& student) {
  return named(recipe, [&] {
    if (recipe.train.teacher_is_self()) return Teacher::of(student);
    Decoder decoder =
        load_model(recipe.train.teacher, {.dtype = student.dtype(), .device = student.device()});
    expect_finite(decoder.config(), decoder.weights(), recipe.train.teacher,
                  "Nothing can be learnt from these: import or convert the teacher anew.");
    return Teacher(std::move(decoder));
  });
}

}  // namespace longgen
