// Scores binary PPM pictures and names what lowers their quality: score_ppm model.onnx picture.ppm...
#include <dpiqa/dpiqa.hpp>
#include <fstream>
#include <iostream>

namespace {

struct Picture {
    int width = 0, height = 0;
    std::vector<char> rgb;
};

Picture read_ppm(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::string magic;
    int maximum = 0;
    Picture picture;
    stream >> magic >> picture.width >> picture.height >> maximum;
    stream.get();
    const bool is_sane = picture.width > 0 && picture.width <= 16384 && picture.height > 0 && picture.height <= 16384;
    if (!stream || magic != "P6" || maximum != 255 || !is_sane) throw std::runtime_error(path + ": not a binary 8-bit PPM picture");
    picture.rgb.resize(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3);
    if (!stream.read(picture.rgb.data(), static_cast<std::streamsize>(picture.rgb.size())))
        throw std::runtime_error(path + ": the file is cut off before the picture ends");
    return picture;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: score_ppm MODEL PICTURE.ppm...\n";
        return 2;
    }
    try {
        dpiqa::Scorer scorer(argv[1]);
        for (int i = 2; i < argc; ++i) {
            const Picture picture = read_ppm(argv[i]);
            const dpiqa::Reading reading = scorer.score(dpiqa::make_frame(
                DPIQA_RGB, DPIQA_COLOUR_NONE, picture.width, picture.height, picture.rgb.data(), picture.rgb.size()));
            std::cout << argv[i] << " " << reading.score;
            for (std::size_t k = 0; k < reading.causes.size(); ++k)
                std::cout << " " << scorer.info().causes[k] << "=" << reading.causes[k];
            std::cout << "\n";
        }
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "score_ppm: " << error.what() << "\n";
        return 2;
    }
}
