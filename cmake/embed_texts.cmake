# cmake -DOUT=x.cpp -DHEADER=longgen/.../x.h -DFUNCTION=name "-DFILES=a;b" -P embed_texts.cmake: writes a C++ source with
# the texts of files, as they are, in a table that FUNCTION returns; HEADER declares it and struct EmbeddedText.
cmake_minimum_required(VERSION 3.25)
set(delimiter "embedded")
set(rows "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(FIND "${text}" ")${delimiter}\"" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${file} holds )${delimiter}\", which ends the raw string of C++ that it is to stand in.")
  endif()
  string(APPEND rows "    {\"${name}\", R\"${delimiter}(${text})${delimiter}\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by cmake/embed_texts.cmake.
#include \"${HEADER}\"

namespace longgen {
namespace {

constexpr EmbeddedText kTexts[] = {
${rows}};

}  // namespace

std::span<const EmbeddedText> ${FUNCTION}() { return kTexts; }

}  // namespace longgen
")
