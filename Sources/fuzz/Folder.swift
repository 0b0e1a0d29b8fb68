import Fuzzers
import Glibc
import Primitives

/// Inputs as files.
enum Folder {
    static let corpus = "Tests/Corpus"

    /// Every file of a fuzzer's corpus, by name.
    static func inputs(of fuzzer: Fuzzer, in root: String = corpus) -> [(path: String, bytes: Bytes)] {
        files("\(root)/\(fuzzer.name)/*").compactMap { path in read(path).map { (path, $0) } }
    }

    private static func files(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { String(cString: $0) }
        }
    }

    static func read(_ path: String) -> Bytes? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = Bytes()
        var room = Bytes(repeating: 0, count: 64 * 1024)
        while true {
            let count = fread(&room, 1, room.count, file)
            if count == 0 { return ferror(file) == 0 ? bytes : nil }
            bytes += room[..<count]
        }
    }

    /// Writes a finding beside the seeds; the path.
    static func keep(_ bytes: Bytes, of fuzzer: String) -> String {
        // What the canaries find proves nothing about anybody.
        let root = fuzzer.hasPrefix("canary") ? ".build/fuzz" : corpus
        let folder = "\(root)/\(fuzzer)"
        _ = mkdir(root, 0o755)
        _ = mkdir(folder, 0o755)
        let digest = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        let path = "\(folder)/crash-\(String(digest, radix: 16))"
        if let file = fopen(path, "w") {
            _ = fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        return path
    }
}
