// A JSON object read field by field: every refusal names the file, the field and what was expected.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dpiqa::core {

class JsonObject {
  public:
    // Parse a document nested at most 32 deep; `what` names it in errors ("contract"). Throws ContractError.
    static JsonObject parse(const std::string& document, const std::string& file, const std::string& what);

    bool has(const char* field) const { return json_.contains(field); }
    void only(std::initializer_list<const char*> fields) const;

    std::string text(const char* field) const;  // of at least one character
    std::string text(const char* field, std::initializer_list<const char*> allowed) const;
    std::int64_t integer(const char* field, std::int64_t minimum, std::int64_t maximum) const;
    double number(const char* field) const;
    double number(const char* field, double minimum, double maximum) const;
    bool flag(const char* field) const;  // false where absent
    std::vector<double> numbers(const char* field) const;
    std::vector<std::string> texts(const char* field) const;
    JsonObject object(const char* field) const;
    std::vector<JsonObject> objects(const char* field) const;
    std::string dump(const char* field) const { return value(field).dump(); }

    [[noreturn]] void refuse(const std::string& field, const std::string& why) const;

  private:
    JsonObject(nlohmann::json json, std::string file, std::string what, std::string prefix)
        : json_(std::move(json)), file_(std::move(file)), what_(std::move(what)), prefix_(std::move(prefix)) {}

    const nlohmann::json& value(const char* field) const;

    nlohmann::json json_;
    std::string file_, what_, prefix_;
};

}  // namespace dpiqa::core
