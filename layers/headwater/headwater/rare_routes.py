"""The calls of the API that are rare: what they need is not imported by a function that only opens streams."""

from pydantic import BaseModel, ValidationError

from headwater.adoption import Adoption, AdoptRequest
from headwater.answers import PRIVATE, opened_answer, stream_answer, tag
from headwater.api import Api, reply
from headwater.changing import Changing, Match
from headwater.errors import InvalidRequest
from headwater.notices import Notices
from headwater.outputs import Outputs
from headwater.ports import Parts
from headwater.requests import faults_of, plain, read_json
from headwater.rotation import Rotation
from headwater.routes import Answer
from headwater.simulcast import NewOutput, OutputSwitch
from headwater.streams import as_json


class RareRoutes:
    """Answers them for one provider."""

    def __init__(self, api: Api, parts: Parts) -> None:
        self._api = api
        self._changing = Changing(parts)
        self._rotation = Rotation(parts)
        self._outputs = Outputs(parts)
        self._adoption = Adoption(parts)
        self._notices = Notices(parts)

    def change(self, stream_id: str) -> Answer:
        """``PATCH`` with a merge-patch of the request."""
        api = self._api
        patch, match = read_json(api.body), Match(api.if_match)
        return stream_answer(self._changing.change(api.caller, stream_id, patch, match, api.deadline))

    def repair(self, stream_id: str) -> Answer:
        """``POST …/repair``."""
        return stream_answer(self._changing.repair(self._api.caller, stream_id, self._api.deadline))

    def rotate(self, stream_id: str) -> Answer:
        """``POST …/credentials/rotate``, with ``?force=true`` also where it cuts somebody off."""
        api = self._api
        stream, credentials = self._rotation.rotate(api.caller, stream_id, api.asks("force"), api.deadline)
        return reply(200, {"id": stream.id, **credentials.revealed()}, {**PRIVATE, **tag(stream)})

    def adopt(self) -> Answer:
        """``POST /streams/{provider}/adopt``."""
        asked = self._checked(AdoptRequest)
        return opened_answer(self._api, self._adoption.adopt(self._api.caller, asked, self._api.deadline))

    def outputs(self, stream_id: str) -> Answer:
        """``GET …/outputs``."""
        found = self._outputs.list(self._api.caller, stream_id, self._api.deadline)
        return reply(200, {"id": stream_id, "outputs": [as_json(output) for output in found]})

    def add_output(self, stream_id: str) -> Answer:
        """``POST …/outputs``."""
        wanted = self._checked(NewOutput)
        return reply(201, as_json(self._outputs.add(self._api.caller, stream_id, wanted, self._api.deadline)))

    def switch_output(self, stream_id: str, output_id: str) -> Answer:
        """``PATCH …/outputs/{output}``."""
        api, enabled = self._api, self._checked(OutputSwitch).enabled
        return reply(200, as_json(self._outputs.switch(api.caller, stream_id, output_id, enabled, api.deadline)))

    def remove_output(self, stream_id: str, output_id: str) -> Answer:
        """``DELETE …/outputs/{output}``."""
        self._outputs.remove(self._api.caller, stream_id, output_id, self._api.deadline)
        return reply(204)

    def notified(self) -> Answer:
        """``POST /notifications/{provider}``: the provider's own call."""
        self._notices.hear(self._api.call.headers, self._api.body, self._api.request_id)
        return reply(204)

    def _checked[M: BaseModel](self, model: type[M]) -> M:
        """The body as this model. Raises ``MalformedBody``, ``InvalidRequest`` with every fault."""
        body = plain(read_json(self._api.body))
        try:
            return model.model_validate(body)
        except ValidationError as error:
            faults = tuple(faults_of(error, body))
            raise InvalidRequest(f"The request has {len(faults)} fault(s).", faults=faults) from None
