// api/generation_run.h: one call that generates: the engine's options and callbacks for those of
// longgen.h, and the result.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "longgen/api/model_impl.h"
#include "longgen/engine/generate.h"

namespace longgen {

/// It must outlive the generation, whose callbacks refer to it.
class GenerationRun {
 public:
  /// `stop_names` are the tokens that end a turn of a chat. Throws Error on stop tokens outside the
  /// vocabulary.
  GenerationRun(const Model::Impl& model, const GenerationOptions& options,
                const std::vector<std::string>& stop_names = {});
  GenerationRun(const GenerationRun&) = delete;
  GenerationRun& operator=(const GenerationRun&) = delete;

  const GenerateOptions& engine_options() const { return engine_options_; }
  /// Makes callbacks that collect the text, stream it, and end the run where the user's say so.
  GenerateCallbacks callbacks(int64_t prompt_tokens);
  /// Makes the result, which takes the text.
  Generation result(const Generated& generated, const Session& session);

 private:
  const GenerationOptions& options_;
  std::atomic<bool> cancelled_ = false;
  std::string text_;
  GenerateOptions engine_options_;
};

}  // namespace longgen
