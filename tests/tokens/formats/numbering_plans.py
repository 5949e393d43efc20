"""What the installed phonenumbers library knows, in the shape of `tokens/formats/numbering_plans_v1.json`.

Version 1 is frozen, so its file is never written again. For a version 2, run this module and give it the new
path: python -m tests.tokens.formats.numbering_plans tokens/formats/numbering_plans_v2.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import phonenumbers

import tokens.formats

FILE = Path(tokens.formats.__file__).with_name("numbering_plans_v1.json")


def of_version_1() -> dict[str, dict[str, Any]]:
    """What version 1 knows: country calling code → lengths, viable, trunk and trunk_rule."""
    plans: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="ascii"))["plans"]
    return plans


def from_library() -> dict[str, dict[str, Any]]:
    """The same of the main region of each calling code, as the installed library has it."""
    plans = {}
    for code, regions in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()):
        metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
        assert metadata is not None
        assert metadata.general_desc is not None
        plan: dict[str, Any] = {
            "lengths": sorted(metadata.general_desc.possible_length),
            "viable": metadata.general_desc.national_number_pattern,
        }
        if metadata.national_prefix_for_parsing:
            plan["trunk"] = metadata.national_prefix_for_parsing
        if metadata.national_prefix_transform_rule:
            plan["trunk_rule"] = metadata.national_prefix_transform_rule
        plans[str(code)] = plan
    return plans


def main(path: str) -> None:
    lines = ",\n".join(f"{json.dumps(code)}: {json.dumps(plan)}" for code, plan in from_library().items())
    made_from = json.dumps(f"phonenumbers {phonenumbers.__version__}")
    Path(path).write_text(f'{{"made_from": {made_from},\n"plans": {{\n{lines}\n}}}}\n', encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1])
