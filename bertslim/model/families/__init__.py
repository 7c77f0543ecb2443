"""The families of stock models that can be read and written, by `model_type`."""

from bertslim.model.families.bert import BERT
from bertslim.model.families.distilbert import DISTILBERT
from bertslim.model.families.electra import ELECTRA
from bertslim.model.families.family import Family
from bertslim.model.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, DISTILBERT, ELECTRA)
}
