// What library_test.py compares with the program: longgen.h from the command line.
//   library_tool MODEL generate PROMPT TEMPERATURE    the text, and a line break
//   library_tool MODEL chat SYSTEM MESSAGE...         the replies, a line break after each
//   library_tool MODEL score TEXT...                  a line each: the log-probabilities
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "longgen/api/longgen.h"

namespace {

constexpr int64_t kMaxTokens = 24;

void run(const longgen::Model& model, const std::string& mode,
         const std::vector<std::string>& rest) {
  longgen::GenerationOptions options{.max_tokens = kMaxTokens};
  if (mode == "generate") {
    options.temperature = std::atof(rest.at(1).c_str());
    std::cout << longgen::Generator(model).generate(rest.at(0), options).text << '\n';
  } else if (mode == "chat") {
    longgen::Conversation conversation(model, {.system = rest.at(0)});
    for (size_t i = 1; i < rest.size(); ++i) {
      std::cout << conversation.ask(rest[i], options).text << '\n';
    }
  } else {
    longgen::Scorer scorer(model);
    for (const std::string& text : rest) {
      for (const float logprob : scorer.score(text).logprobs) std::printf("%.9g ", logprob);
      std::printf("\n");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const longgen::Model model(words.at(0), {.dtype = "float32"});
    run(model, words.at(1), {words.begin() + 2, words.end()});
    return 0;
  } catch (const longgen::Error& error) {
    std::cerr << "Error: " << error.what() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "another exception: " << error.what() << '\n';
    return 3;
  }
}
