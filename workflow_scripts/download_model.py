"""Import a published model into the study as float32 safetensors with a checked tokenizer."""

from graft.encoders.pretrained import fetch_model
from graft.study import program


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    program.check_fingerprint(grid.model(args.model), args.fingerprint, args.model)
    source = grid.study.models[args.model].source
    manifest = fetch_model(source, f"models.{args.model}.source", paths.model(args.model), args.fingerprint)
    print(args.model, manifest["parameters"], "parameters; pooler:", manifest["pooler"])


if __name__ == "__main__":
    program.run(main)
