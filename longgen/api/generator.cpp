#include "longgen/api/generation_run.h"
#include "longgen/api/translated.h"
#include "longgen/base/check.h"

namespace longgen {

struct Generator::Impl {
  Model model;
  Session session;

  Impl(const Model& opened, int64_t prefill_chunk)
      : model(opened), session(model.impl().loaded.decoder, prefill_chunk) {}

  Generation generate(const std::vector<int32_t>& prompt, const GenerationOptions& options) {
    LG_CHECK(!prompt.empty(), "the prompt has no tokens.");
    const Model::Impl& opened = model.impl();
    GenerationRun run(opened, options);
    TextStream stream(opened.loaded.tokenizer, run.engine_options().stop, prompt);
    session.clear();
    const Generated generated =
        longgen::generate(session, prompt, prompt, stream, run.engine_options(),
                          run.callbacks(static_cast<int64_t>(prompt.size())));
    return run.result(generated, session);
  }
};

Generator::Generator(const Model& model, int64_t prefill_chunk)
    : impl_(translated([&] { return std::make_unique<Impl>(model, prefill_chunk); })) {}
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;

Generation Generator::generate(std::string_view prompt, const GenerationOptions& options) {
  return generate(impl_->model.encode(prompt, options.special), options);
}

Generation Generator::generate(const std::vector<int32_t>& prompt,
                               const GenerationOptions& options) {
  return translated([&] { return impl_->generate(prompt, options); });
}

}  // namespace longgen
